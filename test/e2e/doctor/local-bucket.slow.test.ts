import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../../cli/ports.ts'
import { startS3rver } from '../../../cli/s3rver.ts'
import { randomSecret, writeWorkerEnv } from '../../../cli/worker-env.ts'
import { ROOT } from '../../docs/support/markdown.ts'
import { runCommand } from '../command-process.ts'

const NONE = 'No bucket of your own yet, needed only to deploy.'

describe('doctor, in a project without a bucket of its own,', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    await cp(join(ROOT, 'template/wrangler.toml'), join(folder, 'wrangler.toml'))
    await cp(join(ROOT, 'template/.dev.vars.example'), join(folder, '.dev.vars'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const run = (...args: string[]) => runCommand({ program: 'doctor.ts', args, folder })

  /** Leaves behind what `edge-presigner dev` does, and returns how its bucket starts. */
  async function wasDeveloped() {
    const port = await freePort()
    const secretAccessKey = randomSecret()
    const corsOrigins = ['http://localhost:8787'] as const
    const directory = join(folder, '.dev/s3')
    const start = () =>
      startS3rver({
        ...{ port, directory, secretAccessKey, loopbackOrigins: true },
        corsOrigins: [...corsOrigins],
      })
    const s3 = await start()
    const [origin] = corsOrigins
    const env = { s3, given: {}, apiKey: 'ep_localhost_x', origin }
    await writeWorkerEnv(join(folder, '.dev/s3-worker.env'), env)
    await s3.close()
    return { start, endpoint: s3.endpoint }
  }

  it('starts the bucket of dev, checks it, and ends it', async () => {
    const { endpoint } = await wasDeveloped()
    const { code, output } = await run()
    expect(code, output).toBe(0)
    for (const said of [NONE, 'S3_WRITE_ACCESS_KEY_ID', 'Settings (wrangler.toml and .dev/s3'])
      expect(output).toContain(said)
    for (const check of ['valid', 'credentials', 'upload', 'read', 'private', 'parts', 'cors'])
      expect(output).toMatch(new RegExp(`pass {2}${check} `))
    expect(output).not.toMatch(/^ {2}(?:fail|warn)/m)
    await expect(fetch(endpoint)).rejects.toThrow()
  })

  it('checks the bucket of a dev that runs, and leaves it running', async () => {
    const { start, endpoint } = await wasDeveloped()
    const s3 = await start()
    const { code, output } = await run('--json')
    expect(code, output).toBe(0)
    const { findings } = JSON.parse(output)
    expect(findings).toContainEqual(expect.objectContaining({ check: 'bucket.own' }))
    expect((await fetch(endpoint)).status).toBe(403)
    await s3.close()
  })

  it('fails, and says how to try without one, before dev has run', async () => {
    const { code, output } = await run()
    expect(code).toBe(1)
    for (const said of [NONE, '`npx edge-presigner dev`', 'S3_SECRET_ACCESS_KEY is missing'])
      expect(output).toContain(said)
  })

  it('takes only the bucket of the project once a key is set, or if an option means it', async () => {
    await wasDeveloped()
    const named = await run('--env-file', '.dev.vars')
    await writeFile(join(folder, '.dev.vars'), 'S3_ACCESS_KEY_ID=AKIA\n')
    for (const { code, output } of [named, await run()]) {
      expect(code).toBe(1)
      expect(output).toContain('S3_SECRET_ACCESS_KEY is missing')
      expect(output).not.toContain(NONE)
    }
  })
})
