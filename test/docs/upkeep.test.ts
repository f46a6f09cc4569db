import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { upkeepRule } from '../../src/plugins/upkeep/options.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { readVariable } from '../../src/worker/variables.ts'
import { markedBlock, readPage } from './support/markdown.ts'
import { ADMIN_KEY, startPresigner } from './support/presigner.ts'
import { runShell, withoutCurl } from './support/shell.ts'

const PAGE = 'docs/import-and-repair.md'
const KEYS = {
  ...{ S3_ACCESS_KEY_ID: 'a', S3_SECRET_ACCESS_KEY: 'b' },
  ...{ S3_UPKEEP_ACCESS_KEY_ID: 'c', S3_UPKEEP_SECRET_ACCESS_KEY: 'd' },
}

/** Returns what wrangler reads in the blocks of the page, after those of a bucket. */
async function configOf(...marks: readonly string[]) {
  const directory = await mkdtemp(join(tmpdir(), 'upkeep-'))
  try {
    const configPath = join(directory, 'wrangler.toml')
    const bucket = `[vars.BUCKETS.files]\nendpoint = "http://s3"\nregion = "auto"\nbucket = "files"\ncredentials = "S3"\n`
    const blocks = marks.map((mark) => markedBlock(PAGE, mark)).join('\n')
    await writeFile(configPath, `name = "a"\ncompatibility_date = "2026-11-01"\n${bucket}${blocks}`)
    return unstable_readConfig({ config: configPath })
  } finally {
    await rm(directory, { recursive: true })
  }
}

describe('docs/import-and-repair.md', async () => {
  const isWithoutCurl = await withoutCurl()

  it('has settings and access keys that the Worker accepts', async () => {
    const { vars } = await configOf('credentials', 'settings')
    const loaded = loadEnvironment({
      ...{ FILE_INDEX: {}, RATE_LIMITER: {}, ...KEYS, ...vars },
      SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
    })
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
    const { value } = readVariable(vars, 'UPKEEP', upkeepRule(loaded.settings))
    expect(value).toMatchObject({ mode: 'record', plan: 'paid', buckets: ['files'] })
    expect(loaded.settings.buckets[0]).toMatchObject({ upkeepCredentials: { accessKeyId: 'c' } })
  })

  it('has the Cron Trigger that a new project has as a comment', async () => {
    expect(await configOf('triggers')).toMatchObject({ triggers: { crons: ['7 * * * *'] } })
    for (const file of ['wrangler.toml', 'template/wrangler.toml'])
      for (const line of markedBlock(PAGE, 'triggers').trim().split('\n'))
        expect(readPage(file)).toContain(`# ${line}\n`)
  })

  it('has a lifecycle rule that is JSON', () => {
    const { Rules } = JSON.parse(markedBlock(PAGE, 'lifecycle'))
    expect(Rules).toMatchObject([{ AbortIncompleteMultipartUpload: { DaysAfterInitiation: 8 } }])
  })

  it.skipIf(isWithoutCurl)('has commands that the Worker answers', async () => {
    const presigner = await startPresigner()
    try {
      const variables = { PRESIGNER_URL: presigner.origin, PRESIGNER_KEY: ADMIN_KEY }
      const shown = await runShell(markedBlock(PAGE, 'go-on'), variables)
      expect(JSON.parse(shown)).toMatchObject({ buckets: [{ bucket: 'files' }] })
      const restored = await runShell(markedBlock(PAGE, 'restore'), variables)
      expect(restored).toContain('"outcome":"unknown"')
    } finally {
      await presigner.close()
    }
  })
})
