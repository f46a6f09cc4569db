import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import express, { type RequestHandler } from 'express'

/**
 * A typical app: Express and the AWS SDK's presigner, with an API key that is checked by its
 * digest.
 */
const { ACCESS_KEY_ID = '', SECRET_ACCESS_KEY = '', API_KEY_SHA256 = '' } = process.env
const BUCKET = 'acme-files'
const known = Buffer.from(API_KEY_SHA256, 'hex')
const s3 = new S3Client({
  region: 'us-east-1',
  credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
})

const authenticate: RequestHandler = (request, response, next) => {
  const token = request.get('Authorization')?.replace(/^Bearer /, '') ?? ''
  const digest = createHash('sha256').update(token).digest()
  if (timingSafeEqual(digest, known)) next()
  else response.status(401).json({ message: 'Who are you?' })
}

const app = express()
app.use(authenticate)

app.get('/files/:key/url', async (request, response) => {
  const command = new GetObjectCommand({ Bucket: BUCKET, Key: request.params.key })
  response.json({ url: await getSignedUrl(s3, command, { expiresIn: 900 }) })
})

app.post('/files/upload-url', express.json(), async (request, response) => {
  const { fileName, mimetype, size }: Record<string, unknown> = request.body
  if (typeof fileName !== 'string' || typeof mimetype !== 'string' || typeof size !== 'number') {
    response.status(400).json({ message: 'fileName, mimetype and size, please.' })
    return
  }
  const key = `uploads/${randomUUID()}-${fileName}`
  const command = new PutObjectCommand({
    Bucket: BUCKET,
    Key: key,
    ContentType: mimetype,
    ContentLength: size,
  })
  const uploadUrl = await getSignedUrl(s3, command, {
    expiresIn: 300,
    signableHeaders: new Set(['content-type', 'content-length']),
  })
  response.json({ uploadUrl, key })
})

const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object') process.send?.({ port: address?.port })
})
