import { reset } from 'cloudflare:test'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { wordsOf } from '../../../src/plugins/files/search-text.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { testDatabase } from '../../support/d1.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

const index = d1FileIndex(testDatabase)
const ann = await testApiKey('ann', ['files:list'], 'ann/')
const root = await testApiKey('root', ['files:list'])
const variables = {
  FILES_DB: testDatabase,
  BUCKETS: { files: s3rverBucket(), other: s3rverBucket() },
  OPEN_ACCESS: undefined,
  API_KEYS: [ann.entry, root.entry],
}
const worker = testWorker(variables)

interface Answer {
  readonly files: { readonly key: string; readonly name: string }[]
  readonly cursor?: string
  readonly code?: string
}

const list = async (query: Record<string, string>, token = root.token): Promise<Answer> => {
  const response = await worker.fetch(`/files?${new URLSearchParams(query)}`, bearer(token))
  return response.json()
}
const keysOf = async (query: Record<string, string>, token = root.token) => {
  const { files, code } = await list(query, token)
  return code ?? files.map(({ key }) => key).toSorted()
}

/** Names as people and attackers choose them. */
const HOSTILE = [
  `"quoted" 'name' -- ; DROP TABLE presigner_files`,
  'AND OR NOT NEAR(a b) ^caret col:umn star* -minus {brace}',
  '100% _under_ [x] \\back',
  'Crème Brûlée ÅNGSTRÖM İstanbul ΟΔΟΣ ΟΔΟΣΑ straße ﬁle ½ ①',
  '请假条 発票2026 한국어 ひらがな',
  'فاتورة مارس עברית שלום',
  'हिन्दी ไทย தமிழ் ខ្មែរ',
  '😀👩‍👩‍👧 family 🇦🇹x',
  'e\u0301te\u0301 Zalgo\u0336\u0334 \u200bzero\u200dwidth',
  'folded f0x tokens 𬺰b 𝕬𝖇𝖈 \u{1e900}dlam',
]

beforeAll(async () => {
  for (const [i, name] of HOSTILE.entries())
    await index.put(testRecord(`names/${i}`, { name, size: i }))
  for (const [i, folder] of ['ann/', 'ann/', 'ann/', 'bob/'].entries())
    await index.put(
      testRecord(`${folder}${i}`, { name: `secret ${i}`, owner: `key:${folder}`, size: i }),
    )
})
afterAll(reset)

describe('a search', () => {
  it('finds a file by the beginning of each of its words, whatever its name is', async () => {
    for (const [i, name] of HOSTILE.entries())
      for (const word of name
        .split(/[^\p{L}\p{N}\p{M}]+/u)
        .filter((one) => wordsOf(one).length > 0))
        for (const length of [1, 2, 3, 99]) {
          const q = [...word].slice(0, length).join('')
          if (wordsOf(q).length === 0) continue
          expect.soft(await keysOf({ q, prefix: 'names/' }), q).toContain(`names/${i}`)
        }
  })

  it('folds a word in the same way where it is only the beginning of one', () => {
    expect(wordsOf('ΟΔΟΣΑ')[0]?.startsWith(wordsOf('ΟΔΟΣ')[0] ?? 'x')).toBe(true)
  })

  it('finds nothing by the middle of a word', async () => {
    expect(await keysOf({ q: 'ROP' })).toEqual([])
    expect(await keysOf({ q: 'rème' })).toEqual([])
  })

  // @threat search-injected
  it('takes every text as words, and never as an operator', async () => {
    const everything = await keysOf({ sort: 'name' })
    for (const q of ['"', '* *', '^', '%', '_', "' OR 1=1 --", '\u0000', '😀', '-', '{}()', ':'])
      expect.soft(await keysOf({ q, prefix: '' }), q).toEqual([])
    for (const q of [
      '"secret" OR',
      'secret* NOT zzz',
      'secret AND',
      'NEAR(secret 0)',
      'tokens:f',
      'folded : secret',
      'secret\u0000',
      'secret) OR (bucket',
      '\u202esecret',
    ]) {
      const found = await keysOf({ q })
      expect.soft(Array.isArray(found), `${q}: ${found}`).toBe(true)
      expect.soft(found, q).not.toEqual(everything)
    }
    expect(await keysOf({ q: '"secret"*' })).toEqual(['ann/0', 'ann/1', 'ann/2', 'bob/3'])
  })

  it('refuses 10 KB, no characters, and more than ten words', async () => {
    for (const q of ['a'.repeat(10_240), '', 'a b c d e f g h i j k'])
      expect.soft(await keysOf({ q })).toBe('invalid_request')
    expect(await keysOf({ q: 'é'.repeat(1000) })).toEqual([])
    expect(await keysOf({ q: '\u{fdfa}'.repeat(1000) })).toBe('invalid_request')
  })
})

describe('a question', () => {
  it('refuses what is malformed, and folders of a filter', async () => {
    for (const query of [
      { sort: 'etag' },
      { sort: 'size,key' },
      { type: 'image' },
      { type: '*/*' },
      { owner: '' },
      { createdAfter: '2026-02-30T00:00:00Z' },
      { createdBefore: 'yesterday' },
      { minSize: '-1' },
      { maxSize: '1e3' },
      { delimiter: '-' },
      { delimiter: '/', q: 'a' },
      { delimiter: '/', owner: 'a' },
      { delimiter: '/', minSize: '1' },
      { groupBy: 'type' },
    ])
      expect.soft(await keysOf(query as never), JSON.stringify(query)).toBe('invalid_request')
  })

  // @threat list-crosses-tenants
  it('finds only what is below the prefix of the caller', async () => {
    expect(await keysOf({ q: 'secret' }, ann.token)).toEqual(['ann/0', 'ann/1', 'ann/2'])
    expect(await keysOf({ sort: '-size' }, ann.token)).toEqual(['ann/0', 'ann/1', 'ann/2'])
    expect(await keysOf({ owner: 'key:bob/' }, ann.token)).toEqual([])
    expect(await keysOf({ q: 'secret', prefix: 'bob/' }, ann.token)).toBe('forbidden')
    expect(await keysOf({ q: 'secret', prefix: 'an' }, ann.token)).toBe('forbidden')
    const stats = async (query: string) =>
      (await worker.fetch(`/stats?${query}`, bearer(ann.token))).json()
    expect(await stats('groupBy=owner')).toEqual({
      count: 3,
      bytes: 3,
      groups: [{ value: 'key:ann/', count: 3, bytes: 3 }],
    })
    expect(await stats('prefix=')).toMatchObject({ code: 'forbidden' })
    expect(await stats('prefix=bob/')).toMatchObject({ code: 'forbidden' })
  })

  // @threat cursor-of-another-question
  it('refuses the cursor of another question, and shows no key in one', async () => {
    const question = { sort: 'size', q: 'secret', limit: '1' }
    const { cursor = '' } = await list(question, ann.token)
    expect((await list({ ...question, cursor }, ann.token)).files).toHaveLength(1)
    for (const other of [
      { ...question, sort: '-size' },
      { ...question, q: 'secret 1' },
      { ...question, owner: 'key:bob/' },
      { ...question, prefix: 'ann/x' },
      { ...question, bucket: 'other' },
      { limit: '1' },
    ])
      expect
        .soft(await keysOf({ ...other, cursor }, ann.token), JSON.stringify(other))
        .toBe('invalid_cursor')
    expect(await keysOf({ ...question, cursor })).toBe('invalid_cursor')
    const plain = await list({ limit: '1' }, ann.token)
    expect(await keysOf({ ...question, cursor: plain.cursor ?? '' }, ann.token)).toBe(
      'invalid_cursor',
    )
    const claims = cursor
      .split('.')
      .slice(0, 2)
      .map((part) => atob(part.replaceAll('-', '+').replaceAll('_', '/')))
    expect(claims.join()).not.toMatch(/ann\/|secret \d/)
  })

  it('keeps its pages while files come and go', async () => {
    const question = { sort: 'size', prefix: 'names/', limit: '4' }
    const { cursor = '' } = await list(question)
    await index.put(testRecord('names/new', { size: 0 }))
    await index.remove('files', testRecord('names/3').key)
    const second = await list({ ...question, cursor })
    expect(second.files.map(({ key }) => key)).toEqual([4, 5, 6, 7].map((i) => `names/${i}`))
  })

  it('is not supported in Workers KV, and GET /limits tells which index there is', async () => {
    const kv = testWorker({ ...variables, FILES_DB: undefined })
    for (const path of ['/files?q=a', '/files?sort=size', '/files?delimiter=/', '/stats']) {
      const response = await kv.fetch(path, bearer(root.token))
      expect.soft(response.status, path).toBe(501)
      expect.soft(await response.json(), path).toMatchObject({
        code: 'not_supported',
        message: expect.stringContaining('FILES_DB'),
      })
    }
    const answers = async (one: typeof kv) =>
      (await one.fetch('/limits', bearer(root.token))).json<{ answers: boolean }>()
    expect(await answers(kv)).toMatchObject({ answers: false })
    expect(await answers(worker)).toMatchObject({ answers: true })
  })

  it('is unavailable while D1 is down, and the upload can be recorded later', async () => {
    const broken = {
      prepare: (sql: string) => testDatabase.prepare(sql),
      batch: async () => {
        throw new Error('D1_ERROR: overloaded')
      },
    }
    const down = testWorker({ ...variables, FILES_DB: broken, OPEN_ACCESS: 'localhost' })
    for (const path of ['/files?q=a', '/files', '/files?delimiter=/', '/stats']) {
      const response = await down.fetch(path, bearer(root.token))
      expect.soft([response.status, response.headers.get('Retry-After')], path).toEqual([503, '5'])
      expect
        .soft(await response.json(), path)
        .toMatchObject({ code: 'unavailable', reason: 'index' })
    }
    const up = testWorker({ ...variables, OPEN_ACCESS: 'localhost', API_KEYS: undefined })
    const upload = testWorker({
      ...variables,
      FILES_DB: broken,
      OPEN_ACCESS: 'localhost',
      API_KEYS: undefined,
    })
    const asked = await up.post('/files/upload-url', { fileName: 'a.txt', mimetype: 'text/plain' })
    const { key, uploadUrl, headers } = await asked.json<{
      key: string
      uploadUrl: string
      headers: Record<string, string>
    }>()
    await fetch(uploadUrl, { method: 'PUT', headers, body: 'a' })
    const failed = await upload.post('/files', { key })
    expect([failed.status, await failed.json()]).toMatchObject([
      503,
      { code: 'unavailable', reason: 'index' },
    ])
    expect((await up.post('/files', { key, name: 'again.txt' })).status).toBe(201)
    const found = await up.fetch('/files?q=again')
    expect(await found.json()).toMatchObject({ files: [{ key }] })
  })
})
