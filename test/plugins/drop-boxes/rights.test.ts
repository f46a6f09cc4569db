import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import { presigner } from '../../../examples/everything/src/presigner.ts'
import { NO_LIMITS } from '../../../src/access/limits.ts'
import { stillGranted } from '../../../src/access/minter.ts'
import { purpose } from '../../../src/access/purpose-key.ts'
import { SCOPES, type Scope } from '../../../src/access/scopes.ts'
import { seal } from '../../../src/access/seal.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { type Begun, completeParts, startInParts } from '../../support/drop-box-parts.ts'
import {
  askToken,
  boxRequest,
  createBox,
  currently,
  type DropBox,
  outcome,
  passes,
  type Sender,
  tokenFor,
  visit,
} from '../../support/drop-boxes.ts'
import {
  CHOSEN_KEY_ROUTES,
  COPY_TARGET_ROUTES,
  ROUTES,
  requestTo,
} from '../../support/protected-routes.ts'
import { signingSettings } from '../../support/signing-settings.ts'
import { baseVariables, s3rverBucket, testWorker } from '../../support/worker.ts'

const worker = testWorker()

let box: DropBox
let sender: Sender

beforeAll(async () => {
  box = await createBox()
  sender = await visit(box)
})

/** What the page needs. */
const FOR_SENDERS = [
  'POST /files',
  'GET /limits',
  'POST /multipart',
  'POST /multipart/:uploadId/urls',
  'GET /multipart/:uploadId',
  'POST /multipart/:uploadId/complete',
  'DELETE /multipart/:uploadId',
]

describe('the token of a page', () => {
  // @threat box-token-rights
  it.each(
    [...ROUTES, ...COPY_TARGET_ROUTES, ...CHOSEN_KEY_ROUTES].filter(
      ({ route }) => !FOR_SENDERS.includes(route),
    ),
  )('is refused by $route', async (route) => {
    const [path, init] = requestTo(route, `${box.prefix}uploads/a.txt`, { token: sender.token })
    expect(await outcome(await worker.fetch(path, init))).toMatch(/^403 forbidden$/)
  })

  it('works only in the header', async () => {
    const paths = ROUTES.map((route) => requestTo(route, `${box.prefix}a.txt`))
    for (const [path, init] of paths)
      expect(await outcome(await worker.fetch(`/u/${sender.token}${path}`, init))).toBe(
        '403 forbidden',
      )
  })

  it('does not choose keys, also not with a proof of the app', async () => {
    const key = `${box.prefix}chosen.txt`
    const chosen = { fileName: undefined, key }
    expect(await outcome(await sender.begin(5, chosen))).toBe('403 forbidden')
    expect(await outcome(await sender.begin(5, { ...chosen, overwrite: true }))).toBe(
      '403 forbidden',
    )
  })

  // @threat box-foreign-record
  it.each([
    ['another prefix', () => 'elsewhere/uploads/0000000000000000000a-a.txt'],
    ['no reservation', () => `${box.prefix}uploads/0000000000000000000a-a.txt`],
  ])('does not record an object with %s', async (_name, key) => {
    await bucketFetch(key(), { method: 'PUT', body: 'hello' })
    expect(await outcome(await sender.post('/files', { key: key() }))).toBe('403 forbidden')
    // Nobody deletes it either.
    await passes(0, box)
    expect((await bucketFetch(key(), { method: 'HEAD' })).status).toBe(200)
    expect((await currently(box)).received.files).toBe(0)
  })

  it('does not rename a file', async () => {
    const own = await createBox()
    const ann = await visit(own)
    const key = await ann.put()
    await ann.record(key)
    const path = `/files/${encodeURIComponent(key)}`
    const body = JSON.stringify({ name: 'b.txt' })
    const headers = { 'Content-Type': 'application/json', ...bearer(ann.token).headers }
    const renamed = await worker.fetch(path, { method: 'PATCH', body, headers })
    expect(await outcome(renamed)).toBe('403 forbidden')
  })

  it('signs nothing that lives longer than 5 minutes', async () => {
    const limits = await (await sender.fetch('/limits')).json<{
      prefix: string
      scopes: string[]
      buckets: { bucket: string; maxExpiresIn: { upload: number } }[]
    }>()
    expect(limits).toMatchObject({ prefix: box.prefix, scopes: ['files:upload'] })
    expect(limits.buckets).toMatchObject([{ bucket: 'files', maxExpiresIn: { upload: 300 } }])
    const begun = await (await sender.begin()).json<Begun>()
    const path = `/multipart/${encodeURIComponent(begun.uploadId)}/urls`
    const asked = { key: begun.key, partNumbers: [1], expiresIn: 301 }
    expect(await outcome(await sender.post(path, asked))).toBe('400 invalid_expiry')
  })

  it('does not use another bucket', async () => {
    expect(await outcome(await sender.begin(5, { bucket: 'photos' }))).toBe('403 forbidden')
  })

  it('is for its own box', async () => {
    const other = await visit(await createBox())
    const key = await other.put()
    await other.record(key)
    expect(await outcome(await sender.post('/files', { key }))).toBe('403 forbidden')
    const started = await startInParts(await visit(await createBox()), 'hello')
    expect(await outcome(await completeParts(sender, started))).toBe('403 forbidden')
  })

  // @threat box-token-forged
  it.each([
    ['garbage', async () => 'epd_garbage'],
    ['nothing', async () => 'epd_'],
    ['a token of POST /tokens under its prefix', async () => asBoxToken(await otherToken())],
    [
      'one that is sealed for another purpose',
      async () => asBoxToken(await seal(SECRETS, purpose('token'), await claims())),
    ],
    [
      'one with a member of a later version',
      async () =>
        asBoxToken(await seal(SECRETS, purpose('drop-box'), { ...(await claims()), more: 1 })),
    ],
  ])('is refused as %s', async (_name, token) => {
    const response = await worker.fetch('/limits', bearer(await token()))
    expect(await outcome(response)).toBe('401 unauthenticated')
  })

  it('works as the Worker seals it', async () => {
    const token = asBoxToken(await seal(SECRETS, purpose('drop-box'), await claims()))
    expect((await worker.fetch('/limits', bearer(token))).status).toBe(200)
  })

  it('is refused with changed claims', async () => {
    const [head = '', , signature = ''] = sender.token.split('.')
    const forged = btoa(JSON.stringify(await claims())).replace(/=+$/, '')
    const response = await worker.fetch('/limits', bearer(`${head}.${forged}.${signature}`))
    expect(await outcome(response)).toBe('401 unauthenticated')
  })

  it('can only abort an upload in parts after it has expired', async () => {
    const { key, uploadId } = await startInParts(sender, 'hello')
    const exp = Math.floor(Date.now() / 1000) - 60
    const expired = bearer(
      asBoxToken(await seal(SECRETS, purpose('drop-box'), { ...(await claims()), exp })),
    )
    const path = `/multipart/${encodeURIComponent(uploadId)}?key=${encodeURIComponent(key)}`
    expect(await outcome(await worker.fetch(path, expired))).toBe('401 unauthenticated')
    expect((await worker.fetch(path, { ...expired, method: 'DELETE' })).status).toBe(204)
    const older = { ...(await claims()), exp: exp - 604_800 }
    const old = bearer(asBoxToken(await seal(SECRETS, purpose('drop-box'), older)))
    const again = await worker.fetch(path, { ...old, method: 'DELETE' })
    expect(await outcome(again)).toBe('401 unauthenticated')
  })

  it('does not serve as a token of another kind', async () => {
    const response = await worker.fetch('/limits', bearer(sender.token.replace('epd_', 'ept_')))
    expect(await outcome(response)).toBe('401 unauthenticated')
  })
})

const SECRETS = signingSettings().signingSecrets
const asBoxToken = (token: string): string => `epd_${token.replace(/^ept_/, '')}`
const claims = async () => ({
  ...{
    id: box.id,
    network: 'n',
    around: 'm',
    sender: null,
    exp: Math.floor(Date.now() / 1000) + 600,
  },
})
const otherToken = async (): Promise<string> => {
  const response = await worker.post('/tokens', { scopes: SCOPES })
  return (await response.json<{ token: string }>()).token
}

describe('the creator', () => {
  const withKeys = async (scopes: readonly Scope[], prefix = 'team/') => {
    const key = await testApiKey('team', scopes, prefix)
    const variables = { OPEN_ACCESS: undefined, API_KEYS: [key.entry] }
    return { key, by: testWorker(variables), init: bearer(key.token) }
  }
  const RIGHTS: Scope[] = ['drop-boxes:create', 'files:upload']

  // @threat box-outlives-key
  it.each([
    ['removed', () => []],
    ['narrowed to another prefix', (entry: object) => [{ ...entry, prefix: 'team/other/' }]],
    ['without files:upload', (entry: object) => [{ ...entry, scopes: ['drop-boxes:create'] }]],
    ['without drop-boxes:create', (entry: object) => [{ ...entry, scopes: ['files:upload'] }]],
    ['limited to another bucket', (entry: object) => [{ ...entry, buckets: ['photos'] }]],
  ])('closes the box by a key that is %s', async (_name, change) => {
    const { key, by, init } = await withKeys(RIGHTS)
    const own = await createBox({ prefix: 'team/drops/' }, by, init)
    const ann = await visit(own, {}, by)
    expect((await ann.begin()).status).toBe(200)
    const other = await testApiKey('other', SCOPES)
    const now = testWorker({
      OPEN_ACCESS: undefined,
      API_KEYS: [...change(key.entry), other.entry],
    })
    const open = await now.fetch(own.url)
    expect(await outcome(open)).toBe('410 drop_box_closed')
    const path = '/multipart'
    const body = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    const begun = await now.post(path, body, bearer(ann.token))
    expect(await outcome(begun)).toBe('410 drop_box_closed')
  })

  it('closes the box whose bucket is no longer configured', async () => {
    const own = await createBox()
    const ann = await visit(own)
    const { files } = baseVariables().BUCKETS
    const now = testWorker({ BUCKETS: { photos: files } })
    const body = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    for (const response of [
      await now.fetch(own.url),
      await askToken(own, {}, now),
      await now.post('/multipart', body, bearer(ann.token)),
    ])
      expect(await outcome(response)).toBe('410 drop_box_closed')
  })

  it('keeps the box with a key that is narrowed to a prefix of the box', async () => {
    const { key, by, init } = await withKeys(RIGHTS)
    const own = await createBox({ prefix: 'team/drops/a/' }, by, init)
    const entry = { ...key.entry, prefix: 'team/drops/' }
    const now = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [entry] })
    expect((await now.fetch(own.url)).status).toBe(200)
  })

  it.each<[string, Scope[], object, string]>([
    ['its scope', ['files:upload'], {}, '403 forbidden'],
    ['files:upload', ['drop-boxes:create'], {}, '403 forbidden'],
  ])('needs %s', async (_name, scopes, changes, expected) => {
    const { by, init } = await withKeys(scopes)
    const request = boxRequest({ prefix: 'team/a/', ...changes })
    expect(await outcome(await by.post('/drop-boxes', request, init))).toBe(expected)
  })

  it.each([
    ['a prefix outside', { prefix: 'other/' }, '403 forbidden'],
    ['a prefix without its slash', { prefix: 'team/a' }, '400 invalid_key'],
    ['no prefix', { prefix: '' }, '400 invalid_key'],
    ['a dot segment', { prefix: 'team/../a/' }, '400 invalid_key'],
    ['a long prefix', { prefix: `team/${'a'.repeat(600)}/` }, '400 invalid_key'],
    ['another bucket', { bucket: 'nope' }, '404 unknown_bucket'],
    ['larger files than the bucket accepts', { maxBytes: 1_000_001 }, '403 forbidden'],
    ['other types', { allowedTypes: ['video/mp4'] }, '403 forbidden'],
    ['a deadline that is over', { deadline: '2020-01-01T00:00:00Z' }, '400 invalid_expiry'],
    ['a deadline too far ahead', { deadline: '2099-01-01T00:00:00Z' }, '400 invalid_expiry'],
    ['a deadline that is no date', { deadline: 'tomorrow' }, '400 invalid_request'],
    ['a day that its month lacks', { deadline: '2027-02-31T00:00:00Z' }, '400 invalid_request'],
    ['a password with a line break', { password: 'open\n' }, '400 invalid_request'],
    ['no files', { maxFiles: 0 }, '400 invalid_request'],
    ['an empty title', { title: '  ' }, '400 invalid_request'],
    ['a title of two lines', { title: 'a\nb' }, '400 invalid_request'],
    ['a long title', { title: 'a'.repeat(201) }, '400 invalid_request'],
    ['nobody who asks', { from: undefined }, '400 invalid_request'],
    ['a message with control characters', { message: 'a\u0000' }, '400 invalid_request'],
    ['a title that is not Unicode', { title: 'a\ud800' }, '400 invalid_request'],
    ['an unknown member', { public: true }, '400 invalid_request'],
  ])('gets no box with %s', async (_name, changes, expected) => {
    const key = await testApiKey('team', RIGHTS, 'team/')
    const limited = { ...s3rverBucket(), maxBytes: 1_000_000, allowedTypes: ['image/*'] }
    const by = testWorker({
      OPEN_ACCESS: undefined,
      API_KEYS: [key.entry],
      BUCKETS: { files: limited },
    })
    const request = boxRequest({ prefix: 'team/a/', ...changes })
    expect(await outcome(await by.post('/drop-boxes', request, bearer(key.token)))).toBe(expected)
  })

  it('may be a token, whose limits the box keeps', async () => {
    const { by, init } = await withKeys([...RIGHTS, 'tokens:create'])
    const asked = { scopes: RIGHTS, prefix: 'team/a/', maxBytes: 10, allowedTypes: ['text/plain'] }
    const minted = await by.post('/tokens', { ...asked, maxExpiresIn: 7200 }, init)
    const token = bearer((await minted.json<{ token: string }>()).token)
    const request = (changes: object) =>
      by.post('/drop-boxes', boxRequest({ prefix: 'team/a/', ...changes }), token)
    expect(await outcome(await request({}))).toBe('403 forbidden')
    const late = new Date(Date.now() + 8000_000).toISOString()
    expect(await outcome(await request({ maxBytes: 5, deadline: late }))).toBe('400 invalid_expiry')
    const own = await (await request({ maxBytes: 5 })).json<DropBox>()
    expect(own.allowedTypes).toEqual(['text/plain'])
    expect((await (await visit(own, {}, by)).begin()).status).toBe(200)
  })

  // @threat box-of-others
  it('is the only one who sees and closes it', async () => {
    const [ann, bob] = [
      await testApiKey('ann', SCOPES, 'team/'),
      await testApiKey('bob', SCOPES, 'team/'),
    ]
    const by = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [ann.entry, bob.entry] })
    const own = await createBox({ prefix: 'team/a/' }, by, bearer(ann.token))
    const narrow = await by.post(
      '/tokens',
      { scopes: SCOPES, prefix: 'team/b/' },
      bearer(ann.token),
    )
    const { token } = await narrow.json<{ token: string }>()
    for (const other of [bearer(bob.token), bearer(token)]) {
      for (const path of [`/drop-boxes/${own.id}`, `/drop-boxes/${own.id}/files`])
        expect(await outcome(await by.fetch(path, other))).toBe('404 not_found')
      const closing = await by.fetch(`/drop-boxes/${own.id}`, { method: 'DELETE', ...other })
      expect(await outcome(closing)).toBe('404 not_found')
      const list = await by.fetch('/drop-boxes', other)
      expect(await list.json()).toMatchObject({ dropBoxes: [] })
    }
    expect((await by.fetch(own.url)).status).toBe(200)
  })

  it('does not open a box with its public id', async () => {
    const own = await createBox()
    expect(own.url).not.toContain(own.id)
    for (const path of [`/d/${own.id}`, `/d/${own.id.slice(0, 22)}`])
      expect(await outcome(await worker.fetch(path))).toBe('410 drop_box_closed')
  })
})

it('lets a sender who has another credential use the token', async () => {
  const token = await tokenFor(box)
  const response = await worker.fetch('/limits', bearer(token))
  expect(await response.json()).toMatchObject({ scopes: ['files:upload'] })
})

// @threat box-token-rights
it('leaves nothing that outlives a request and names a sender', () => {
  const { minter: minters } = presigner.instance(env as unknown as Env).seams
  const rights = { scopes: ['files:upload'], prefix: 'a/', limits: NO_LIMITS } as const
  const kept = { ...rights, kind: 'token', expiresAt: Infinity, context: null } as const
  const verdict = (id: string) => stillGranted({ ...kept, id }, { minters, openOnLocalhost: true })
  expect(verdict('localhost')).toMatchObject({ ok: true })
  expect(verdict(`drop-box:${box.id}`)).toMatchObject({ ok: false })
})

describe('the rate limit', () => {
  const limited = (refuses: (key: string) => boolean) => {
    const keys: string[] = []
    const limit = async ({ key }: { key: string }) => {
      keys.push(key)
      return { success: !refuses(key) }
    }
    return { keys, by: testWorker({ RATE_LIMITER: { limit } }) }
  }
  const at = (ip: string) => ({ headers: { 'CF-Connecting-IP': ip } })

  // @threat box-blocked
  it('counts each network of a box for itself', async () => {
    const own = await createBox()
    const [ann, bob] = [
      await visit(own, { ip: '203.0.113.1' }),
      await visit(own, { ip: '203.0.113.2' }),
    ]
    const { keys, by } = limited(() => false)
    for (const { token } of [ann, bob, ann]) await by.fetch('/limits', bearer(token))
    const principals = keys.filter((key) => key.startsWith('principal '))
    expect(principals[0]).toMatch(new RegExp(`^principal drop-box:${own.id} [\\w-]{16}$`))
    expect(new Set(principals).size).toBe(2)
    expect(principals[0]).toBe(principals[2])
  })

  // @threat box-guessing
  it('of a network comes before any object is asked', async () => {
    const own = await createBox()
    const { by } = limited((key) => key === 'network 203.0.113.9')
    for (const path of [own.url, '/d/AAAAAAAAAAAAAAAAAAAAAA'])
      expect(await outcome(await by.fetch(path, at('203.0.113.9')))).toBe('429 rate_limited')
    const asked = await by.post(`${own.url}/token`, {}, at('203.0.113.9'))
    expect(await outcome(asked)).toBe('429 rate_limited')
    const { token } = await visit(own)
    const headers = { Authorization: `Bearer ${token}`, 'CF-Connecting-IP': '203.0.113.9' }
    expect(await outcome(await by.fetch('/limits', { headers }))).toBe('429 rate_limited')
  })
})
