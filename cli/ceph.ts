import { execFile } from 'node:child_process'
import { access, constants, mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import {
  type CORSRule,
  CreateBucketCommand,
  DeletePublicAccessBlockCommand,
  PutBucketCorsCommand,
  PutBucketPolicyCommand,
  PutPublicAccessBlockCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { type Child, startChild } from './child.ts'
import { LOOPBACK_ORIGIN_RULES } from './loopback.ts'
import { freePort } from './ports.ts'
import type { AccessKey, BucketOptions, S3Server, S3ServerOptions } from './s3-server.ts'
import { answers, waitUntil } from './wait-until.ts'

const BUCKET = 'files'
const REGION = 'us-east-1'
const OWNER_ID = 'owner'
const WRITER_ID = 'writer'
/** Everyone can know this key, so the server listens only on 127.0.0.1. */
const OWNER: AccessKey = { accessKeyId: 'CEPHDEV', secretAccessKey: 'CEPHDEVSECRET' }
const WRITER: AccessKey = { accessKeyId: 'CEPHWRITER', secretAccessKey: 'CEPHWRITERSECRET' }
/** The only key in the key management of the server. */
export const KMS_KEY_ID = 'dev-key'
const START_SECONDS = 240
/** The limit of the first try. Each next one has twice as long: a busy machine is slow, too. */
const ADMIN_SECONDS = 8
const ADMIN_TRIES = 5
/** The exit code of radosgw-admin if the user already exists: EEXIST. */
const EXISTS = 17

const run = promisify(execFile)

/** Tells whether this machine can start Ceph RGW. */
export async function cephInstalled(): Promise<boolean> {
  return (await inPath('radosgw')) && (await inPath('radosgw-admin'))
}

/**
 * Starts Ceph RGW without a cluster, on its SQLite store in `directory`. It verifies requests as
 * strictly as S3.
 */
export async function startCeph(options: S3ServerOptions): Promise<S3Server> {
  if (!(await cephInstalled()))
    throw new Error('Ceph RGW is not installed. On Debian: apt-get install radosgw')

  const port = options.port === 0 ? await freePort() : options.port
  const directory = resolve(options.directory)
  const configFile = join(directory, 'ceph.conf')
  await mkdir(join(directory, 'run'), { recursive: true })
  await writeFile(configFile, configuration(directory, port))
  const common = ['-c', configFile, '-n', 'client.rgw.a', '--no-mon-config']
  await createUsers(common)

  const gateway = await startChild('radosgw', [...common, '-f'], { stdio: 'ignore' })
  const server: S3Server = {
    name: 'Ceph RGW',
    endpoint: `http://127.0.0.1:${port}`,
    virtualEndpoint: `http://s3.localhost:${port}`,
    region: REGION,
    bucket: BUCKET,
    ...OWNER,
    writer: WRITER,
    close: () => gateway.close(),
  }
  try {
    await started(gateway, server, join(directory, 'rgw.log'))
    await createBuckets(server, options)
  } catch (error) {
    await gateway.close()
    throw error
  }
  return server
}

const configuration = (directory: string, port: number): string => `[global]
log_file = ${directory}/rgw.log
run_dir = ${directory}/run
[client.rgw.a]
rgw_backend_store = dbstore
rgw_config_store = dbstore
dbstore_config_uri = file:${directory}/config.db
dbstore_db_dir = ${directory}
dbstore_db_name_prefix = db
rgw_data = ${directory}
rgw_dns_name = s3.localhost
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = ${KMS_KEY_ID}=${'a2V5'.repeat(10)}a2U=
rgw_frontends = beast endpoint=127.0.0.1:${port}
`

/**
 * Creates the owner of the buckets, and the writer. The writer has no permissions until
 * `createBuckets` grants them.
 */
async function createUsers(common: readonly string[]): Promise<void> {
  for (const [uid, { accessKeyId, secretAccessKey }] of [
    [OWNER_ID, OWNER],
    [WRITER_ID, WRITER],
  ] as const)
    await admin(common, [
      ...['user', 'create', `--uid=${uid}`, `--display-name=${uid}`],
      ...[`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`],
    ])
}

/** Runs radosgw-admin, which sometimes hangs. Accepts that the user already exists. */
async function admin(common: readonly string[], args: readonly string[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      const timeout = ADMIN_SECONDS * 1000 * 2 ** (tries - 1)
      const call = run('radosgw-admin', [...common, ...args], { timeout, killSignal: 'SIGKILL' })
      call.child.stdin?.end()
      await call
      return
    } catch (error) {
      if (isExists(error)) return
      const hung = error instanceof Error && 'killed' in error && error.killed === true
      if (!hung || tries === ADMIN_TRIES) throw error
    }
  }
}

/** Tells whether radosgw-admin reports that the user exists, which it does in two ways. */
const isExists = (error: unknown): boolean =>
  error instanceof Error &&
  (('code' in error && error.code === EXISTS) || / exists$/m.test(error.message))

async function started(gateway: Child, { endpoint }: S3Server, logFile: string): Promise<void> {
  const ended = gateway.exited.then((code) => {
    throw new Error(`radosgw ended with code ${code} while it started: see ${logFile}`)
  })
  ended.catch(() => undefined) // It ends later, when nothing awaits it.
  await Promise.race([waitUntil('radosgw answers', () => answers(endpoint), START_SECONDS), ended])
}

/** Creates the buckets of a running server, or sets them up again. */
export async function createBuckets(
  { endpoint, region, bucket, accessKeyId, secretAccessKey }: Omit<S3Server, 'close'>,
  { corsOrigins, loopbackOrigins = false, otherBuckets = [] }: BucketOptions,
): Promise<void> {
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
  })
  try {
    for (const Bucket of [bucket, ...otherBuckets]) {
      await client.send(new CreateBucketCommand({ Bucket })) // The owner may create it again.
      // The public access block of an earlier start refuses every policy.
      await client.send(new DeletePublicAccessBlockCommand({ Bucket }))
      await client.send(new PutBucketPolicyCommand({ Bucket, Policy: policy(Bucket) }))
      const PublicAccessBlockConfiguration = PUBLIC_ACCESS_BLOCK
      await client.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }))
      const origins = [...corsOrigins, ...(loopbackOrigins ? LOOPBACK_ORIGIN_RULES : [])]
      const CORSConfiguration = { CORSRules: [corsRule(origins)] }
      await client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration }))
    }
  } finally {
    client.destroy()
  }
}

/**
 * Without this, the holder of an upload URL can add `x-amz-acl: public-read`, which is not signed.
 * With BlockPublicAcls, RGW 18 refuses every PUT, even without an ACL.
 */
const PUBLIC_ACCESS_BLOCK = {
  BlockPublicAcls: false,
  IgnorePublicAcls: true,
  BlockPublicPolicy: true,
  RestrictPublicBuckets: true,
}

const corsRule = (origins: readonly string[]): CORSRule => ({
  AllowedOrigins: [...origins],
  AllowedMethods: ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
  AllowedHeaders: ['*'],
  ExposeHeaders: ['ETag', 'Location'],
  MaxAgeSeconds: 3000,
})

/**
 * Returns a policy that lets the writer put objects. The writer then owns them, so the policy also
 * grants access to the bucket's owner.
 */
const policy = (bucket: string): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: [`arn:aws:iam:::user/${WRITER_ID}`] },
        Action: ['s3:PutObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts'],
        Resource: [`arn:aws:s3:::${bucket}/*`],
      },
      {
        Effect: 'Allow',
        Principal: { AWS: [`arn:aws:iam:::user/${OWNER_ID}`] },
        Action: ['s3:*'],
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
      },
    ],
  })

async function inPath(program: string): Promise<boolean> {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const found = await access(join(directory, program), constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return true
  }
  return false
}
