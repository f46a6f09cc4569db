import { copyFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// The client is one module without dependencies: the page imports it as it is.
const client = import.meta.resolve('edge-presigner-client')
copyFileSync(fileURLToPath(client), new URL('public/presigner.js', import.meta.url))
