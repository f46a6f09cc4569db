import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  // Your own server, which creates the tokens.
  server: { proxy: { '/api': 'http://localhost:3000' } },
})
