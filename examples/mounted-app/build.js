import { copyFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// The client is one module without dependencies, so the page imports it unchanged.
const client = import.meta.resolve('edge-presigner-client')
copyFileSync(fileURLToPath(client), new URL('public/presigner.js', import.meta.url))
