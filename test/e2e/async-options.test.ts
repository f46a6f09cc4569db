import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const SRC = join(import.meta.dirname, '../../src')

/** Prints the status of `/healthz` for presigners with a function that must not be async. */
const PROGRAM = `
import { createPresigner, defineSettings } from '${SRC}/index.ts'
import { events } from '${SRC}/plugins/events/index.ts'
import { files } from '${SRC}/plugins/files/index.ts'
import { links } from '${SRC}/plugins/links/index.ts'

const rejects = async () => { throw new Error('not async') }
const settings = defineSettings(() => ({
  buckets: {
    files: {
      endpoint: 'https://s3.example.com',
      region: 'eu-central-1',
      bucket: 'files',
      credentials: { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret-secret-secret' },
    },
  },
  signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
}))
const healthOf = async (settings, options) => {
  const { fetch } = createPresigner(settings, { log: () => {}, ...options })
  console.log((await fetch(new Request('http://localhost/healthz'), {})).status)
}
await healthOf(settings, {})
await healthOf(defineSettings(rejects), {})
await healthOf(rejects, {})
await healthOf(settings, { rateLimiter: rejects })
await healthOf(settings, { plugins: [files({ index: rejects })] })
await healthOf(settings, { plugins: [events({ webhooks: rejects })] })
await healthOf(settings, { plugins: [events({ queue: rejects })] })
await healthOf(settings, { plugins: [links({ ownsOrigin: rejects })] })
await healthOf(settings, { plugins: [{ name: 'mine', setup: rejects }] })
await new Promise((resolve) => setTimeout(resolve, 10))
console.log('alive')
`

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
})

afterAll(() => rm(directory, { recursive: true }))

it('a function that must not be async is misconfigured, and ends no process', async () => {
  const program = join(directory, 'host.ts')
  await writeFile(program, PROGRAM)
  const { stdout } = await promisify(execFile)(process.execPath, [program])
  expect(stdout.trim().split('\n')).toEqual(['200', ...Array(8).fill('503'), 'alive'])
})
