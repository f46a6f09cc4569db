import { copyFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// The client is a single module without dependencies, so the page can import it directly.
const client = import.meta.resolve('edge-presigner-client')
copyFileSync(fileURLToPath(client), new URL('public/presigner.js', import.meta.url))
