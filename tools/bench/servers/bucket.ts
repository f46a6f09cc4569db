/**
 * Runs the S3 server of `npm run dev` with two images and some videos, in its own process. Sends its
 * port to its parent.
 */
import { randomBytes } from 'node:crypto'
import { AwsClient } from 'aws4fetch'
import { startS3rver } from '../../../cli/s3rver.ts'
import { colourPng } from '../../../test/e2e/small-png.ts'
import { keyOf } from '../lib/presigner.ts'

const PHOTO = keyOf(1)
const { BUCKET_DIRECTORY: directory } = process.env
if (directory === undefined) throw new Error('BUCKET_DIRECTORY must be the folder for the objects.')
const { endpoint, region, bucket, accessKeyId, secretAccessKey } = await startS3rver({
  port: 0,
  directory,
  corsOrigins: ['http://localhost:8787'],
})
const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3' })

const filler = (bytes: number) => Buffer.alloc(bytes, 'edge-presigner')
await put('image.jpg', 'image/jpeg', filler(100_000))
for (const i of [0, 1, 2]) await put(`video-${i}.mp4`, 'video/mp4', filler(100_000_000))
const photo = colourPng(640, 480, randomBytes(640 * 480 * 3))
await put(PHOTO, 'image/png', new Uint8Array(photo))
const port = Number(new URL(endpoint).port)
process.send?.({ port, endpoint, region, bucket, accessKeyId, secretAccessKey })

async function put(key: string, mimetype: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
  const response = await client.fetch(`${endpoint}/${bucket}/${key}`, {
    method: 'PUT',
    headers: { 'Content-Type': mimetype },
    body,
  })
  if (!response.ok) throw new Error(`The bucket refused ${key}: ${response.status}.`)
}
