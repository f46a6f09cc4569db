import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { inject } from 'vitest'
import { presigner } from '../../examples/everything/src/presigner.ts'
import { KEY_SCOPES, SCOPES, type Scope } from '../../src/access/scopes.ts'
import { listObjects } from '../../src/storage/list-objects.ts'
import { bucketFetch } from '../support/bucket.ts'
import { testApiKey } from '../support/credentials.ts'
import { testDatabase } from '../support/d1.ts'
import { jwtVariable, testIssuer } from '../support/issuer.ts'
import { testBucket } from '../support/test-bucket.ts'
import { baseVariables, s3rverBucket } from '../support/worker.ts'

export const ORIGIN = 'https://api.example'

/** Starts the name and the contents of what belongs to others. No request contains it. */
export const CANARY = 'zqcanary'

/** Who sends hostile requests, and what they may do. */
export interface Attacker {
  readonly kind: string
  readonly headers: Readonly<Record<string, string>>
  /** A token that may also be in the path. */
  readonly token?: string
  readonly scopes: readonly string[]
  /** Start of the keys that they may touch. Null for none. */
  readonly prefix: string | null
  /** Whether they may use only the bucket "files". */
  readonly isLimited?: boolean
  /** Keys of others that were shared with them. */
  readonly sees: readonly string[]
  /** What they know of others, for parameters of this name. */
  readonly knows: Readonly<Record<string, string>>
}

/** Bucket and index, with what belongs to the attackers' tenant, and to others. */
export interface World {
  readonly attackers: readonly Attacker[]
  /** What everybody may have heard of, by the name of a parameter. None of it is a secret. */
  readonly public: Readonly<Record<string, readonly string[]>>
  /** Prefixes that may change. */
  readonly open: readonly string[]
  send(request: Request): Promise<{ readonly response: Response; readonly text: string }>
  /** Makes the attackers' own files again. */
  refill(): Promise<void>
  /** Changes that `outside` must show: an object is replaced, added or deleted, or a record is. */
  readonly breaks: readonly (() => Promise<unknown>)[]
  /** Returns bucket and index outside the prefixes that may change, as text. */
  outside(): Promise<string>
}

/** Files of others, the first ones with prefixes that nearly are those of the attackers. */
const VICTIMS = [
  ...['mallory2/a.txt', 'mallor/a.txt', 'Mallory/a.txt', 'root.txt', 'bob/secret.txt'],
  ...['bob/shared.txt', 'bob/linked.txt', 'bob/folder/a.txt', 'uploads/a.txt'],
]
/** The folders of these files. */
const FOLDERS = ['mallory2/', 'mallor/', 'Mallory/', 'bob/', 'uploads/']
const OWN = ['mallory/a.txt', 'mallory/t/b.txt', 'mallory/u/c.txt', 'mallory/jwt/d.txt']

const path = (key: string): string => key.split('/').map(encodeURIComponent).join('/')
const hour = (): string => new Date(Date.now() + 3_600_000).toISOString()

/** Puts the files of others and the attackers' own into bucket and index, and makes credentials of each kind. */
export async function createWorld(): Promise<World> {
  const issuer = await testIssuer()
  const stranger = await testIssuer('kid-2')
  const [admin, bob, mallory, reader, unknown] = await Promise.all([
    testApiKey('admin', KEY_SCOPES),
    testApiKey('bob', SCOPES, 'bob/'),
    testApiKey('mallory', KEY_SCOPES, 'mallory/'),
    testApiKey('reader', ['files:read', 'files:list', 'links:create'], 'mallory/'),
    testApiKey('nobody', KEY_SCOPES),
  ])
  const secret = 'notification-secret-of-0123456789abcdef'
  const files = s3rverBucket()
  const variables = {
    ...env,
    ...baseVariables(),
    RATE_LIMITER: { limit: async () => ({ success: true }) },
    OPEN_ACCESS: undefined,
    FILES_DB: testDatabase,
    BUCKETS: {
      files,
      // Its own host tells URLs of the two apart.
      vault: { ...files, endpoint: inject('s3Endpoint').replace('127.0.0.1', 'localhost') },
    },
    API_KEYS: [admin, bob, mallory, reader].map(({ entry }) => entry),
    JWT: {
      ...jwtVariable(issuer),
      ...{ prefix: 'mallory/jwt/', scopes: ['files:upload', 'files:read', 'files:list'] },
    },
    NOTIFICATION_SECRETS: secret,
  }
  const send: World['send'] = async (request) => {
    const context = createExecutionContext()
    const response = await presigner.fetch(request, variables as unknown as Env, context)
    const text = new TextDecoder().decode(await response.arrayBuffer())
    await waitOnExecutionContext(context)
    return { response, text }
  }
  const as = async <T>(token: string, route: string, body?: object): Promise<T> => {
    const [method = '', where = ''] = route.split(' ')
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
    const { response, text } = await send(new Request(ORIGIN + where, init))
    if (!response.ok) throw new Error(`${route}: ${response.status} ${text}`)
    return JSON.parse(text)
  }
  const put = async (key: string, name: string, owner: string) => {
    const content = { method: 'PUT', body: name, headers: { 'Content-Type': 'text/plain' } }
    await bucketFetch(path(key), content)
    await as(owner, 'POST /files', { key, name })
  }
  for (const [i, key] of VICTIMS.entries()) await put(key, `${CANARY}${i}`, admin.token)

  const upload = { mimetype: 'text/plain', fileName: 'a.txt' }
  const shared = await as<{ id: string; url: string }>(bob.token, 'POST /grants', {
    ...{ key: 'bob/shared.txt', deadline: hour() },
  })
  const box = await as<{ id: string; url: string }>(bob.token, 'POST /drop-boxes', {
    ...{ prefix: 'bob/inbox/', deadline: hour(), from: 'Bob', title: 'Files' },
    ...{ maxFiles: 100, maxBytes: 1000, maxTotalBytes: 100_000 },
  })
  const link = await as<{ link: string }>(bob.token, 'POST /files/bob%2Flinked.txt/link', {})
  const folder = await as<{ base: string }>(bob.token, 'POST /links/folder', {
    prefix: 'bob/folder/',
  })
  const parts = await as<{ uploadId: string }>(bob.token, 'POST /multipart', upload)
  const last = (url: string): string => new URL(url).pathname.split('/').at(-1) ?? ''
  const sender = await as<{ token: string }>('none', `POST /d/${last(box.url)}/token`, {})

  const tokenScopes: Scope[] = [
    ...(['files:upload', 'files:read', 'files:list', 'files:delete', 'keys:choose'] as const),
    ...(['links:create', 'tokens:create', 'grants:create', 'drop-boxes:create'] as const),
  ]
  const wide = await as<{ token: string }>(mallory.token, 'POST /tokens', {
    ...{ scopes: tokenScopes, prefix: 'mallory/t/', subject: 'm', expiresIn: 3600 },
  })
  const narrow = await as<{ token: string }>(mallory.token, 'POST /tokens', {
    ...{ scopes: ['files:upload'], prefix: 'mallory/u/', subject: 'u', expiresIn: 3600 },
    ...{ buckets: ['files'], maxBytes: 100, allowedTypes: ['text/*'], maxExpiresIn: 120 },
  })
  const others = await as<{ token: string }>(bob.token, 'POST /tokens', {
    ...{ scopes: ['files:read'], expiresIn: 3600 },
  })
  const forged = others.token.slice(0, -4) + (others.token.endsWith('AAAA') ? 'BBBB' : 'AAAA')
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })
  const nothing = { scopes: [], prefix: null, sees: [], knows: {} }
  const attackers: readonly Attacker[] = [
    { ...nothing, kind: 'nobody', headers: {} },
    {
      ...nothing,
      ...{
        kind: 'API key',
        headers: bearer(mallory.token),
        scopes: KEY_SCOPES,
        prefix: 'mallory/',
      },
    },
    {
      ...{ ...nothing, kind: 'API key that reads', headers: bearer(reader.token) },
      ...{ scopes: reader.entry.scopes, prefix: 'mallory/' },
    },
    { ...nothing, kind: 'unknown API key', headers: bearer(unknown.token) },
    {
      ...{ ...nothing, kind: 'token', headers: bearer(wide.token), token: wide.token },
      ...{ scopes: tokenScopes, prefix: 'mallory/t/' },
    },
    {
      ...{ ...nothing, kind: 'token with limits', headers: bearer(narrow.token) },
      ...{ token: narrow.token, scopes: ['files:upload'], prefix: 'mallory/u/', isLimited: true },
    },
    { ...nothing, kind: 'forged token', headers: bearer(forged), token: forged },
    {
      ...{ ...nothing, kind: 'JWT', headers: bearer(await issuer.sign()) },
      ...{ scopes: ['files:upload', 'files:read', 'files:list'], prefix: 'mallory/jwt/' },
    },
    { ...nothing, kind: 'JWT of a stranger', headers: bearer(await stranger.sign()) },
    {
      ...{ ...nothing, kind: 'drop box', headers: bearer(sender.token), token: sender.token },
      ...{ scopes: ['files:upload'], prefix: 'bob/inbox/', isLimited: true },
      knows: { secret: last(box.url) },
    },
    {
      ...{ ...nothing, kind: 'grant', headers: {}, sees: ['bob/shared.txt'] },
      knows: { secret: last(shared.url) },
    },
    {
      ...{ ...nothing, kind: 'link', headers: {}, sees: ['bob/linked.txt', 'bob/folder/a.txt'] },
      knows: { link: link.link, folder: folder.base },
    },
    { ...nothing, kind: 'notifications', headers: bearer(secret) },
  ]
  const open = ['mallory/', 'bob/inbox/']
  const bucket = testBucket({
    ...{ origin: inject('s3Endpoint'), basePath: '/files/', name: 'files' },
    credentials: {
      ...{ accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
      ...{ sessionToken: null, expiresAt: Number.POSITIVE_INFINITY },
    },
  })
  const isOutside = (key: string): boolean => open.every((prefix) => !key.startsWith(prefix))
  return {
    attackers,
    public: {
      key: [...OWN, ...VICTIMS],
      id: [shared.id, box.id],
      uploadId: [parts.uploadId],
      prefix: ['mallory/', 'mallory/t/', 'mallory/u/', 'mallory/jwt/', 'bob/', 'bob/inbox/', ''],
      bucket: ['files', 'vault'],
    },
    open,
    send,
    breaks: [
      () => bucketFetch('bob/secret.txt', { method: 'PUT', body: 'replaced' }),
      () => bucketFetch('bob/new.txt', { method: 'PUT', body: 'added' }),
      () => bucketFetch('root.txt', { method: 'DELETE' }),
      () =>
        testDatabase
          .prepare("UPDATE presigner_files SET name = 'x' WHERE key = 'mallor/a.txt'")
          .run(),
      () => testDatabase.prepare("DELETE FROM presigner_files WHERE key = 'mallory2/a.txt'").run(),
    ],
    async refill() {
      for (const key of OWN) await put(key, 'own', mallory.token)
    },
    async outside() {
      const { results } = await testDatabase
        .prepare('SELECT * FROM presigner_files ORDER BY bucket, key')
        .all<{ key: string }>()
      const inBucket = []
      // Other tests have left more folders, whose names stay the same.
      for (const prefix of ['', ...FOLDERS]) {
        const asked = { prefix, limit: 1000, delimiter: prefix === '' ? '/' : undefined } as const
        const { objects, folders } = await listObjects(bucket, asked, new Date())
        inBucket.push(folders.filter(isOutside), ...objects.filter(({ key }) => isOutside(key)))
      }
      return JSON.stringify([results.filter(({ key }) => isOutside(key)), inBucket])
    },
  }
}

/** Returns the number that is in the name of a file of others, for each file that `text` shows. */
export const canariesIn = (text: string): string[] =>
  [...text.matchAll(new RegExp(`${CANARY}(\\d+)`, 'g'))].map(
    ([, number = '']) => VICTIMS[Number(number)] ?? '',
  )
