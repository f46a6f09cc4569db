import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import S3rver from '@20minutes/s3rver'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import v4 from '@20minutes/s3rver/lib/signature/v4.js'
import FilesystemStore from '@20minutes/s3rver/lib/stores/filesystem.js'
import type { S3Server, S3ServerOptions } from './s3-server.ts'

const BUCKET = 'files'

// s3rver leaves ! ' ( ) * of a query as they are, where SigV4 says UriEncode; without this it would
// refuse the URL of a download whose name is not ASCII.
const { getStringToSign } = v4
v4.getStringToSign = (request, signature) => {
  const querystring = request.querystring.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return getStringToSign({ ...request, querystring }, signature)
}

// s3rver would end this process at a part that was never sent.
const { putObjectMultipart } = FilesystemStore.prototype
FilesystemStore.prototype.putObjectMultipart = async function (bucket, uploadId, parts) {
  const folder = join(this.getResourcePath(bucket, undefined, 'uploads'), uploadId)
  for (const { number } of parts)
    await access(join(folder, String(number))).catch(() => {
      throw new S3Error('InvalidPart', 'One or more of the specified parts could not be found.')
    })
  return putObjectMultipart.call(this, bucket, uploadId, parts)
}

/**
 * Starts the embedded S3 server in this process. It checks signatures, yet lets requests without
 * any pass, refuses right ones with `'` or `*` in a query value, and doesn't know a bucket by its
 * host.
 */
export async function startS3rver(options: S3ServerOptions): Promise<S3Server> {
  await mkdir(options.directory, { recursive: true })
  const server = new S3rver({
    address: '127.0.0.1',
    port: options.port,
    directory: options.directory,
    silent: true,
    vhostBuckets: false,
    configureBuckets: [BUCKET, ...(options.otherBuckets ?? [])].map((name) => ({
      name,
      configs: [corsConfiguration(options.corsOrigins)],
    })),
  })
  const { port } = await server.run()
  const accessKey = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
  return {
    name: 's3rver',
    endpoint: `http://127.0.0.1:${port}`,
    virtualEndpoint: `http://s3.localhost:${port}`,
    region: 'us-east-1',
    bucket: BUCKET,
    ...accessKey,
    writer: accessKey,
    async close() {
      const closed = server.close()
      server.httpServer.closeAllConnections()
      await closed
    },
  }
}

const corsConfiguration = (origins: readonly string[]): string => `
<CORSConfiguration>
  <CORSRule>
    ${origins.map((origin) => `<AllowedOrigin>${origin}</AllowedOrigin>`).join('')}
    <AllowedMethod>GET</AllowedMethod>
    <AllowedMethod>HEAD</AllowedMethod>
    <AllowedMethod>PUT</AllowedMethod>
    <AllowedMethod>POST</AllowedMethod>
    <AllowedMethod>DELETE</AllowedMethod>
    <AllowedHeader>*</AllowedHeader>
    <ExposeHeader>ETag</ExposeHeader>
    <MaxAgeSeconds>3000</MaxAgeSeconds>
  </CORSRule>
</CORSConfiguration>`
