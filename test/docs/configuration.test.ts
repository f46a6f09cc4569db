import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { KEY_SCOPES } from '../../src/access/scopes.ts'
import { apiKeysRule } from '../../src/plugins/api-keys/options.ts'
import type { LoadedSettings } from '../../src/settings/define.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { readVariable, variableRules } from '../../src/worker/variables.ts'
import { codeBlocks, markedBlock, pagePaths, ROOT, readPage } from './support/markdown.ts'

const PAGE = 'docs/configuration.md'
const SECRETS = {
  SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
  ...accessKey('S3'),
  ...accessKey('S3_WRITE'),
  ...accessKey('WASABI'),
  ...accessKey('WASABI_WRITE'),
}
/** Bindings, which no text can provide. */
const BINDINGS = { FILE_INDEX: {}, RATE_LIMITER: {} }
/** The buckets for blocks that show other settings. */
const BUCKETS = {
  files: { endpoint: 'http://s3', region: 'auto', bucket: 'files', credentials: 'S3' },
}

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function accessKey(name: string): Record<string, string> {
  return { [`${name}_ACCESS_KEY_ID`]: 'id', [`${name}_SECRET_ACCESS_KEY`]: 'secret' }
}

/** Reads `toml` as wrangler does. Throws when wrangler refuses it. */
function readToml(toml: string): ReturnType<typeof unstable_readConfig> {
  const file = join(directory, 'wrangler.toml')
  const date = toml.includes('compatibility_date') ? '' : 'compatibility_date = "2026-11-01"\n'
  const name = /^name = /m.test(toml) ? '' : 'name = "example"\n'
  writeFileSync(file, name + date + toml)
  return unstable_readConfig({ config: file }, { hideWarnings: true })
}

const load = (variables: object): LoadedSettings =>
  loadEnvironment({ ...BINDINGS, BUCKETS, ...variables, ...SECRETS })

/** Returns the line that distinguishes a block from others. */
const subject = (code: string): string =>
  code.split('\n').find((line) => /^(endpoint|issuer) /.test(line)) ?? code.split('\n', 1).join()

const blocks = (language: string) =>
  pagePaths()
    .flatMap((path) => codeBlocks(readPage(path)))
    .filter((block) => block.language === language)

describe('a block of TOML', () => {
  it.each(blocks('toml').map(({ code }) => [subject(code), code]))('is valid: %s', (_, code) => {
    const { vars } = readToml(code)
    expect(load(vars)).toMatchObject({ ok: true })
  })

  it('exists for every provider and every issuer', () => {
    const shown = blocks('toml').map(({ code }) => code)
    for (const host of [
      'amazonaws',
      'r2.cloudflarestorage',
      'backblazeb2',
      'wasabisys',
      'minio',
      'rgw',
    ])
      expect(shown.some((code) => code.includes(host))).toBe(true)
    for (const host of ['auth0.com', 'clerk.example', 'supabase.co', 'cloudflareaccess.com'])
      expect(shown.some((code) => code.includes(host))).toBe(true)
  })

  it('is refused with a typo', () => {
    const { vars } = readToml('[vars.JWT]\nisuer = "https://issuer.example.com"')
    expect(load(vars)).toMatchObject({ ok: false })
  })
})

it('shows buckets as JSON in an environment file', () => {
  expect(load(parseEnv(markedBlock(PAGE, 'environment')))).toMatchObject({ ok: true })
})

it('shows API keys that the Worker accepts, once they have a digest', () => {
  const [API_KEYS] = blocks('json')
    .map(({ code }) => code)
    .filter((code) => code.includes('sha256'))
  expect(load({ API_KEYS }).ok).toBe(false)
  const withDigest = API_KEYS?.replace(/the digest [^"]+/, 'ab'.repeat(32))
  expect(load({ API_KEYS: withDigest }).ok).toBe(true)
  const { value } = readVariable({ API_KEYS: withDigest }, 'API_KEYS', apiKeysRule(null))
  expect(value).toMatchObject([{ id: 'ci' }])
})

it('shows each header of uploadHeaders, and no other', () => {
  const [, rows = ''] = readPage(PAGE).split('<!-- test: upload-headers -->')
  const shown = [...(rows.split('\n\n', 1)[0] ?? '').matchAll(/^\| `([^`]+)`/gm)]
  const files = { ...BUCKETS.files, uploadHeaders: { unknown: 'a' } }
  const loaded = load({ BUCKETS: { files } })
  const [issue] = loaded.ok ? [] : loaded.issues
  const [, known = ''] = /Known headers: (.*)/.exec(issue?.message ?? '') ?? []
  expect(shown.map(([, name]) => name)).toEqual(known.split(', '))
})

describe('the table of', () => {
  /**
   * Returns the names in the first column of the tables under a heading, up to the next heading.
   */
  const documented = (heading: string, page = PAGE): string[] => {
    const [, section = ''] = `\n${readPage(page)}`.split(`\n${heading}\n`)
    const rows = section
      .split(/\n#/, 1)
      .join()
      .matchAll(/^\| (.*?) \|/gm)
    return [...rows].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, n = '']) => n),
    )
  }
  /** Returns the members of a table, from the Worker's error about an unknown member. */
  const members = (variables: object): string[] => {
    const loaded = load(variables)
    const messages = loaded.ok ? [] : loaded.issues.map(({ message }) => message)
    const [, names = ''] = /Known members: (.*)/.exec(messages.join('\n')) ?? []
    return names.split(', ')
  }

  it('buckets has exactly the existing members', () => {
    expect(documented('## BUCKETS').toSorted()).toEqual(
      members({ BUCKETS: { files: { other: 1 } } }).toSorted(),
    )
  })

  it('JWT has exactly the existing members', () => {
    expect(documented('## JWT', 'docs/login.md').toSorted()).toEqual(
      members({ JWT: { other: 1 } }).toSorted(),
    )
  })

  it('scopes has exactly the existing ones, in their order', () => {
    expect(documented('## Scopes', 'docs/login.md')).toEqual(KEY_SCOPES)
  })

  it('variables has exactly the existing ones and the access keys', () => {
    const names = documented('# Settings of the Worker').filter(
      (name) => !name.startsWith('<NAME>_'),
    )
    expect(names.toSorted()).toEqual(Object.keys(variableRules({})).toSorted())
  })
})

describe('wrangler.toml', () => {
  const block = (start: string) =>
    blocks('toml')
      .find(({ code }) => code.startsWith(start))
      ?.code.trim()

  it.each(['[cache]', '[observability.logs]'])('has the block %s as on the page', (start) => {
    expect(readFileSync(join(ROOT, 'wrangler.toml'), 'utf8')).toContain(block(start))
  })

  it('has variables in a comment that work when you remove the "# "', () => {
    const file = join(directory, 'uncommented.toml')
    const text = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8')
    writeFileSync(file, text.replace(/^# (?=\[vars\]$|CORS_ORIGINS = )/gm, ''))
    expect(unstable_readConfig({ config: file }).vars).toEqual({
      CORS_ORIGINS: ['https://app.example.com'],
      BUCKETS: { files: expect.objectContaining({ bucket: 'my-bucket' }) },
    })
  })

  // @threat removed-key-works
  it('gives old versions no URL, because removed keys would still work there', () => {
    const config = unstable_readConfig({ config: join(ROOT, 'wrangler.toml') })
    expect(config).toMatchObject({ preview_urls: false, workers_dev: true })
  })
})

describe.each(pagePaths())('%s', (path) => {
  it('has only valid JSON', () => {
    for (const { language, code } of codeBlocks(readPage(path)))
      if (language === 'json') expect(() => JSON.parse(code), code).not.toThrow()
  })
})
