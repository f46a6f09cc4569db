import { beforeAll, describe, expect, it } from 'vitest'
import { KEY_SCOPES, SCOPES } from '../../src/access/scopes.ts'
import { userTag } from '../../src/access/user-tag.ts'
import type { AppPrincipal } from '../../src/http/app-principal.ts'
import { ANN } from '../support/ann.ts'
import { bucketFetch } from '../support/bucket.ts'
import { type TestApiKey, testApiKey } from '../support/credentials.ts'
import { mount } from '../support/mount.ts'
import { outcomeOf, ROUTES, requestTo } from '../support/protected-routes.ts'
import { signingSettings } from '../support/signing-settings.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../support/worker.ts'

const BUCKETS = { files: { ...s3rverBucket(), postUploads: false } }

let apiKey: TestApiKey
let worker: TestWorker

beforeAll(async () => {
  apiKey = await testApiKey('app', KEY_SCOPES)
  worker = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [apiKey.entry], BUCKETS })
})

const ask = (path: string, token: string, tag?: string, init?: RequestInit): Promise<Response> =>
  worker.fetch(path, { ...init, headers: headersWith(token, tag, init?.headers) })

function headersWith(token: string, tag: string | undefined, more?: HeadersInit): Headers {
  const headers = new Headers(more)
  headers.set('Authorization', `Bearer ${token}`)
  if (tag !== undefined) headers.set('X-User-Tag', tag)
  return headers
}

/** Returns a token of the key, for another prefix or subject. */
async function mint(request: object): Promise<string> {
  const init = { method: 'POST', body: JSON.stringify({ scopes: SCOPES, ...request }) }
  const headers = { 'Content-Type': 'application/json' }
  const response = await ask('/tokens', apiKey.token, undefined, { ...init, headers })
  const { token }: { token: string } = await response.json()
  return token
}

async function tagOf(token: string): Promise<string> {
  const response = await ask('/limits', token)
  const { tag }: { tag: string } = await response.json()
  expect(response.headers.get('X-User-Tag')).toBe(tag)
  return tag
}

describe('a request with the tag of another user', () => {
  // @threat other-user-in-browser
  it('is refused on every route, which the tag of the caller is not', async () => {
    const own = await tagOf(apiKey.token)
    const other = await tagOf(await mint({ prefix: 'users/bob/' }))
    for (const route of ROUTES) {
      const [path, init] = requestTo(route, 'nobody-uploaded-this.txt', { token: apiKey.token })
      const refused = await ask(path, apiKey.token, other, init)
      expect.soft(await outcomeOf(route, refused), route.route).toBe('409 user_changed')
      expect.soft(refused.headers.get('X-User-Tag'), route.route).toBe(own)
      const accepted = await ask(path, apiKey.token, own, init)
      expect.soft(await outcomeOf(route, accepted), route.route).toBe(route.allowed)
      expect.soft(accepted.headers.get('X-User-Tag'), route.route).toBe(own)
    }
  })

  it('is refused below a token in the path', async () => {
    const token = await mint({ prefix: 'users/bob/' })
    const headers = { 'X-User-Tag': await tagOf(apiKey.token) }
    expect((await worker.fetch(`/u/${token}/limits`, { headers })).status).toBe(409)
  })

  it('has no effect', async () => {
    const key = 'users/ann/uploads/kept.txt'
    await bucketFetch(key, { method: 'PUT', body: 'kept' })
    const tag = await tagOf(await mint({ prefix: 'users/bob/' }))
    const init = { method: 'DELETE' }
    const path = `/files/${encodeURIComponent(key)}`
    expect((await ask(path, apiKey.token, tag, init)).status).toBe(409)
    expect((await bucketFetch(key)).status).toBe(200)
    expect((await ask(path, apiKey.token, await tagOf(apiKey.token), init)).status).toBe(204)
    expect((await bucketFetch(key)).status).toBe(404)
  })

  it('is refused for any text that is no tag', async () => {
    for (const tag of ['', ' ', 'a', `${await tagOf(apiKey.token)},b`])
      expect((await ask('/limits', apiKey.token, tag)).status, tag).toBe(409)
  })
})

describe('a tag', () => {
  it('differs by prefix for tokens without a subject, and by subject in one prefix', async () => {
    const prefix = 'users/ann/'
    const tokens = [
      ...[{ prefix }, { prefix: 'users/bob/' }],
      ...[
        { prefix, subject: 'ann' },
        { prefix, subject: 'bob' },
      ],
    ]
    const tags = await Promise.all(tokens.map(async (request) => tagOf(await mint(request))))
    expect(new Set([...tags, await tagOf(apiKey.token)]).size).toBe(5)
  })

  it('is the same for all tokens of a user, whatever they may do', async () => {
    const user = { prefix: 'users/ann/', subject: 'ann' }
    const narrow = { ...user, scopes: ['files:list'], expiresIn: 60, maxBytes: 1 }
    expect(await tagOf(await mint(narrow))).toBe(await tagOf(await mint(user)))
  })

  it('stays valid while its secret is listed, and the response has the new one', async () => {
    const [k1, k2] = ['k1', 'k2'].map((kid) => `${kid}:${kid.repeat(16)}`)
    const workers = [k1, `${k2},${k1}`, k2].map((SIGNING_SECRETS) =>
      testWorker({ OPEN_ACCESS: undefined, API_KEYS: [apiKey.entry], BUCKETS, SIGNING_SECRETS }),
    )
    const answers: Response[] = []
    let tag: string | undefined
    for (const each of workers) {
      const response = await each.fetch('/limits', { headers: headersWith(apiKey.token, tag) })
      answers.push(response)
      tag ??= response.headers.get('X-User-Tag') ?? undefined
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 409])
    const [before, during, after] = answers.map(({ headers }) => headers.get('X-User-Tag'))
    expect([during === before, after === during]).toEqual([false, true])
  })

  it('differs by the name of the instance', async () => {
    const user = { id: 'key:app', prefix: '' }
    const tags = ['', 'a', 'b'].map(async (name) =>
      userTag(signingSettings(undefined, name).signingSecrets[0], user),
    )
    expect(new Set(await Promise.all(tags)).size).toBe(3)
  })

  it('does not confuse where an id ends', async () => {
    const [secret] = signingSettings().signingSecrets
    const tags = [
      { id: 'app:a', prefix: 'bc/' },
      { id: 'app:ab', prefix: 'c/' },
      { id: 'app:a","b', prefix: 'c/' },
    ].map(async (user) => userTag(secret, user))
    expect(new Set(await Promise.all(tags)).size).toBe(3)
  })

  it('is right after more users than an isolate remembers', async () => {
    const [secret] = signingSettings().signingSecrets
    const tags = async () => {
      const all: string[] = []
      for (let i = 0; i < 1100; i++) all.push(await userTag(secret, { id: `app:${i}`, prefix: '' }))
      return all
    }
    const first = await tags()
    expect(new Set(first).size).toBe(1100)
    expect(await tags()).toEqual(first)
  })
})

it('no response without valid credentials has a tag', async () => {
  for (const [path, token] of [
    ['/limits', 'ep_app_wrong'],
    ['/healthz', apiKey.token],
  ] as const)
    expect((await ask(path, token)).headers.has('X-User-Tag'), path).toBe(false)
})

it('an app notices that another user has logged in, and that a user has another folder', async () => {
  let user: AppPrincipal = { ...ANN, prefix: 'users/ann/' }
  const app = mount({ authenticate: () => user })
  const tag = (await app.fetch('/media/limits')).headers.get('X-User-Tag') ?? ''
  const list = async () =>
    (await app.fetch('/media/files', { headers: { 'X-User-Tag': tag } })).status
  expect(await list()).toBe(200)
  user = { ...ANN, prefix: 'teams/a/' }
  expect(await list()).toBe(409)
  user = { ...ANN, id: 'bob', prefix: 'users/ann/' }
  expect(await list()).toBe(409)
})
