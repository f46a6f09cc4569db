import { Hono } from 'hono'

/**
 * Shows Hono's cost: eight middlewares that do nothing, and a response of the same size with the
 * same headers.
 */
const app = new Hono()
for (let i = 0; i < 8; i++)
  app.use(async (_, next) => {
    await next()
  })
app.get('/files/:key/url', (c) =>
  c.json({ url: URL }, 200, {
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    Vary: 'Origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': '27aa9dd4-fe8a-4969-ac28-4e4e4e4d74c5',
  }),
)

const URL = `https://acme-files.s3.us-east-1.amazonaws.com/${'x'.repeat(384)}`

export default app
