import { fileURLToPath } from 'node:url'
import { toNodeHandler } from 'edge-presigner/node'
import express from 'express'
import { media } from './media.js'

const app = express()
app.use('/api/media', toNodeHandler(media)) // before express.json(), which would read the body
app.use(express.json(), express.static('public'))

// The client, for pages without a bundler.
const client = new URL('.', import.meta.resolve('edge-presigner-client'))
app.use('/client', express.static(fileURLToPath(client)))

const port = Number(process.env.PORT ?? 3000)
app.listen(port, () => console.log(`http://localhost:${port}`))
