import { mount } from 'svelte'
import Files from './Files.svelte'
import './style.css'

const target = document.getElementById('app')
if (target) mount(Files, { target })
