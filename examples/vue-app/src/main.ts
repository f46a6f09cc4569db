import { createApp } from 'vue'
import Files from './Files.vue'
import './style.css'

createApp(Files).mount('#app')
