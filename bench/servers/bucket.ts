/**
 * Runs the S3 server of `npm run dev` with an image and some videos, in its own process. Sends its
 * port to its parent.
 */
import { AwsClient } from 'aws4fetch'
import { startS3rver } from '../../dev/s3rver.ts'

const { BUCKET_DIRECTORY: directory } = process.env
if (directory === undefined) throw new Error('BUCKET_DIRECTORY must be the folder for the objects.')
const { endpoint, region, bucket, accessKeyId, secretAccessKey } = await startS3rver({
  port: 0,
  directory,
  corsOrigins: ['http://localhost:8787'],
})
const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3' })

await put('image.jpg', 'image/jpeg', 100_000)
for (const i of [0, 1, 2]) await put(`video-${i}.mp4`, 'video/mp4', 100_000_000)
const port = Number(new URL(endpoint).port)
process.send?.({ port, endpoint, region, bucket, accessKeyId, secretAccessKey })

async function put(key: string, mimetype: string, bytes: number): Promise<void> {
  const response = await client.fetch(`${endpoint}/${bucket}/${key}`, {
    method: 'PUT',
    headers: { 'Content-Type': mimetype },
    body: Buffer.alloc(bytes, 'edge-presigner'),
  })
  if (!response.ok) throw new Error(`The bucket refused ${key}: ${response.status}.`)
}
