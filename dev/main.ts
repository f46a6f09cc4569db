import { randomBytes } from 'node:crypto'
import { join, resolve } from 'node:path'
import { startCeph } from './ceph.ts'
import { startFront } from './front.ts'
import { type DevOptions, readOptions, USAGE } from './options.ts'
import { freePort, requireFreePort } from './ports.ts'
import { startS3rver } from './s3rver.ts'
import { answers, waitUntil } from './wait-until.ts'
import { walkThrough } from './walk-through.ts'
import { startWorker } from './worker.ts'
import { writeWorkerEnv } from './worker-env.ts'

const START_SECONDS = 60

/**
 * Runs an S3 server and the Worker until `stopped`, or until the Worker ends; resolves with the
 * exit code.
 */
async function dev(options: DevOptions, stopped: Promise<0>): Promise<number> {
  const { ceph, port, s3Port } = options
  await requireFreePort(port, '--port')
  await requireFreePort(s3Port, '--s3-port')

  const data = resolve(options.data)
  const origin = `http://localhost:${port}`
  const s3 = await (ceph ? startCeph : startS3rver)({
    port: s3Port,
    directory: join(data, ceph ? 'ceph' : 's3'),
    corsOrigins: [origin, `http://127.0.0.1:${port}`],
    secretAccessKey: randomSecret(),
  })
  try {
    const envFile = join(data, 'worker.env')
    const apiKey = `ep_localhost_${randomSecret()}`
    await writeWorkerEnv(envFile, s3, apiKey)
    // Each S3 server has its own index: a record without an object would only puzzle.
    const stateDirectory = join(data, ceph ? 'ceph-worker' : 's3-worker')
    const workerPort = await freePort()
    const front = await startFront({ port, workerPort, apiKey })
    const publicHost = `localhost:${port}`
    const start = { port: workerPort, publicHost, envFile, stateDirectory }
    const worker = await startWorker(start).catch(async (error: unknown) => {
      await front.close()
      throw error
    })
    try {
      const ended = Promise.race([stopped, worker.exited])
      const health = () => answers(`${origin}/healthz`, 200)
      const ready = waitUntil('The Worker is healthy', health, START_SECONDS)
      const code = await Promise.race([ended, ready])
      if (code !== undefined) return code
      console.log(welcome(origin, `${s3.name} at ${s3.endpoint}`))
      return await ended
    } finally {
      await front.close()
      await worker.close()
    }
  } finally {
    await s3.close()
  }
}

/** 256 bits, for one run. */
const randomSecret = (): string => randomBytes(32).toString('base64url')

const welcome = (origin: string, storage: string): string => `
Ready: ${origin}
Bucket: ${storage}

Paste these into another terminal:

${walkThrough(origin)}
Ctrl-C ends all of it.
`

/** Resolves at the first signal that asks this process to end; later ones change nothing. */
const stopSignal = (): Promise<0> =>
  new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve(0))
  })

function options(): DevOptions {
  try {
    return readOptions(process.argv.slice(2))
  } catch (error) {
    console.error(`${messageOf(error)}\n${USAGE}`)
    process.exit(1)
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

const chosen = options()
if (chosen.help) {
  console.log(USAGE)
} else {
  const code = await dev(chosen, stopSignal()).catch((error: unknown) => {
    console.error(messageOf(error))
    return 1
  })
  process.exit(code)
}
