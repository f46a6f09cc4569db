import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startS3rver } from '../../cli/s3rver.ts'
import { install } from './package/packed.ts'
import { shared } from './shared.ts'

const run = promisify(execFile)
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  await writeFile(join(directory, 'package.json'), '{"type":"module"}')
  await copyFile(join(import.meta.dirname, 'package/on-node.mjs'), join(directory, 'on-node.mjs'))
  await install(directory, await shared('tarball', 'edge-presigner'), 'hono')
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** The oldest Node with FTS5, the newest 22, and the one that runs the tests. */
it.each(['22.16.0', '22', process.versions.node])(
  'the index in SQLite and the mounted API work on Node %s',
  async (version) => {
    const isOwn = version === process.versions.node
    const node = isOwn ? process.execPath : join(await shared('node', version), 'node')
    const { stdout: found } = await run(node, ['--version'])
    expect(found).toMatch(new RegExp(`^v${version}`))
    const place = await mkdtemp(join(directory, 'node-'))
    const s3 = await startS3rver({
      port: 0,
      directory: join(place, 's3'),
      corsOrigins: ['http://a.test'],
    })
    try {
      const env = {
        S3_ENDPOINT: s3.endpoint,
        S3_REGION: s3.region,
        S3_BUCKET: s3.bucket,
        S3_ACCESS_KEY_ID: s3.accessKeyId,
        S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
        SIGNING_SECRETS: `k1:${'0123456789abcdef'.repeat(2)}`,
        LINK_BASE: 'http://localhost:3000/api/media',
      }
      const { stdout } = await run(node, ['on-node.mjs', place], { cwd: directory, env })
      expect(stdout).toMatch(/^(?:ℹ|#) fail 0$/m)
      expect(Number(/^(?:ℹ|#) pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(20)
    } finally {
      await s3.close()
    }
  },
)
