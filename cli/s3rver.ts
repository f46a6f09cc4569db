import { mkdir } from 'node:fs/promises'
import S3rver, { type Middleware } from '@20minutes/s3rver'
import objectController from '@20minutes/s3rver/lib/controllers/object.js'
import AWSAccount from '@20minutes/s3rver/lib/models/account.js'
import v4 from '@20minutes/s3rver/lib/signature/v4.js'
import type { S3Server, S3ServerOptions } from './s3-server.ts'
import { correctCopies } from './s3rver-copy.ts'
import { deleteMultipleObjects } from './s3rver-delete.ts'
import { checkedPostObject } from './s3rver-form.ts'
import { s3rverGuard } from './s3rver-guard.ts'
import { listInPages } from './s3rver-list.ts'
import { completeMultipartUploads } from './s3rver-multipart.ts'
import { confineStore } from './s3rver-paths.ts'

const BUCKET = 'files'

// s3rver doesn't encode ! ' ( ) * in a query, but SigV4 requires it. Without this, s3rver refuses
// the URL of a download whose name is not ASCII.
const { getStringToSign } = v4
v4.getStringToSign = (request, signature) => {
  const querystring = request.querystring.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return getStringToSign({ ...request, querystring }, signature)
}

confineStore()
completeMultipartUploads()
correctCopies()
listInPages()
objectController.postObject = checkedPostObject
objectController.deleteMultipleObjects = deleteMultipleObjects

/**
 * Starts the embedded S3 server in this process, behind a guard. It doesn't support virtual hosts.
 * All servers of a process share the secret of the last one. `rules` run before the guard.
 */
export async function startS3rver(
  options: S3ServerOptions,
  ...rules: readonly Middleware[]
): Promise<S3Server> {
  const { host, corsOrigins: origins, loopbackOrigins = false } = options
  const address = host ?? '127.0.0.1'
  await mkdir(options.directory, { recursive: true })
  const server = new S3rver({
    address,
    port: options.port,
    directory: options.directory,
    silent: true,
    vhostBuckets: false,
    configureBuckets: [BUCKET, ...(options.otherBuckets ?? [])].map((name) => ({
      name,
      configs: [CORS_CONFIGURATION],
    })),
  })
  server.middleware.unshift(...rules, s3rverGuard({ origins, loopbackOrigins, host }))
  const accessKeyId = 'S3RVER'
  const secretAccessKey = options.secretAccessKey ?? accessKeyId
  AWSAccount.DUMMY_ACCOUNT.createKeyPair(accessKeyId, secretAccessKey)
  const { port } = await server.run()
  // By default, Node closes a connection after five idle seconds. A request that is sent at that
  // moment fails.
  server.httpServer.keepAliveTimeout = 0
  const accessKey = { accessKeyId, secretAccessKey }
  return {
    name: 's3rver',
    endpoint: `http://${address}:${port}`,
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

/** Allows every origin that s3rver receives. The guard removes those of foreign pages. */
const CORS_CONFIGURATION = `
<CORSConfiguration>
  <CORSRule>
    <AllowedOrigin>http://*</AllowedOrigin>
    <AllowedOrigin>https://*</AllowedOrigin>
    <AllowedMethod>GET</AllowedMethod>
    <AllowedMethod>HEAD</AllowedMethod>
    <AllowedMethod>PUT</AllowedMethod>
    <AllowedMethod>POST</AllowedMethod>
    <AllowedMethod>DELETE</AllowedMethod>
    <AllowedHeader>*</AllowedHeader>
    <ExposeHeader>ETag</ExposeHeader>
    <ExposeHeader>Location</ExposeHeader>
    <MaxAgeSeconds>3000</MaxAgeSeconds>
  </CORSRule>
</CORSConfiguration>`
