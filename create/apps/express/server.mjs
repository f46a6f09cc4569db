import { fileURLToPath } from 'node:url'
import { toNodeHandler } from 'edge-presigner/node'
import express from 'express'
import { media } from './media.mjs'

const app = express()
app.use('/api/media', toNodeHandler(media)) // before express.json(), which would read the body
app.use(express.json(), express.static(`${import.meta.dirname}/public`))

// The client, for pages without a bundler.
const client = new URL('.', import.meta.resolve('edge-presigner-client'))
app.use('/client', express.static(fileURLToPath(client)))

const port = Number(process.env.PORT ?? 3000)
// Remove 'localhost' when session.mjs has your own login: until then, nobody else may reach this.
app.listen(port, 'localhost', () => console.log(`http://localhost:${port}`))
