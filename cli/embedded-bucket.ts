import type { startS3rver } from './s3rver.ts'

/** The folder of `edge-presigner dev`, unless `--data` names another one. */
export const DATA_FOLDER = '.dev'
/** The folder of the embedded bucket's objects in it. */
export const OBJECTS_FOLDER = 's3'
/** The folder of the Worker's state in it. The file next to it, `.env`, has the Worker's variables. */
export const STATE_FOLDER = 's3-worker'

/** The first Node that runs the embedded bucket. s3rver asks for 24, and needs nothing that 22 lacks. */
const S3RVER_NODE = 22

/**
 * Returns what starts the S3 server, s3rver or Ceph RGW. Throws an Error that says what to do if it
 * can't run here, before anything has started.
 */
export async function loadS3(ceph: boolean): Promise<typeof startS3rver> {
  if (ceph) return (await needing('@aws-sdk/client-s3', () => import('./ceph.ts'))).startCeph
  if (Number.parseInt(process.versions.node, 10) < S3RVER_NODE)
    throw new Error(
      `The embedded bucket needs Node ${S3RVER_NODE}, and this is ${process.versions.node}. Run: npm install --save-dev node@24. Or use your own bucket with --env-file FILE, or Ceph RGW with --ceph.`,
    )
  return (await needing('@20minutes/s3rver@5', () => import('./s3rver.ts'))).startS3rver
}

/** Loads a module that needs a package which this package doesn't install. */
async function needing<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const code: unknown = Reflect.get(Object(error), 'code')
    const message = error instanceof Error ? error.message : ''
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(name.replace(/@\d+$/, ''))) throw error
    throw new Error(`${name.replace(/@\d+$/, '')} is missing. Run: npm install --save-dev ${name}`)
  }
}
