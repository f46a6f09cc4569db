import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import { bucketFetch } from '../support/bucket.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { textOf } from '../support/links.ts'
import { testWorker } from '../support/worker.ts'

interface SignedPage {
  readonly urls: { key: string; url: string }[]
  readonly expiresIn: number
  readonly expiresAt: string
}

const worker = testWorker()
const keyList = (count: number) => Array.from({ length: count }, (_, i) => `urls/${i}.png`)

afterEach(() => {
  vi.useRealTimers()
})

describe('POST /files/urls', () => {
  it('returns what GET /files/:key/url returns, in the requested order', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-24T12:00:00Z'), toFake: ['Date'] })
    const keys = ['b.png', 'a.png', 'a.svg', 'é /+%.png', 'b.png']
    const response = await worker.post('/files/urls', { keys, use: 'stream', expiresIn: 60 })
    const page: SignedPage = await response.json()
    expect(page.urls.map(({ key }) => key)).toEqual(keys)
    expect(page.expiresIn).toBe(60)
    expect(page.expiresAt).toBe('2026-11-24T12:01:00.000Z')
    for (const { key, url } of page.urls) {
      const path = `/files/${encodeURIComponent(key)}/url?use=stream&expiresIn=60`
      expect(await (await worker.fetch(path)).json()).toMatchObject({ url })
    }
  })

  it('returns URLs of exactly these objects', async () => {
    const keys = keyList(3)
    for (const key of keys) await bucketFetch(key, { method: 'PUT', body: key })
    const { urls }: SignedPage = await (await worker.post('/files/urls', { keys })).json()
    for (const { key, url } of urls) expect(await textOf(await fetch(url))).toBe(key)
  })

  it('refuses keys one by one', async () => {
    const apiKey = await testApiKey('a', SCOPES, 'team-a/')
    const ofTeam = testWorker({ API_KEYS: [apiKey.entry], OPEN_ACCESS: undefined })
    const keys = ['team-a/1', 'team-ab/2', 'team-a/../3', '', 'team-a/4']
    const response = await ofTeam.post('/files/urls', { keys }, bearer(apiKey.token))
    expect(response.status).toBe(200)
    const refused = (code: string) => ({ code, message: expect.any(String) })
    expect(await response.json()).toMatchObject({
      urls: [
        { key: keys[0], url: expect.any(String) },
        { key: keys[1], error: refused('forbidden') },
        { key: keys[2], error: refused('invalid_key') },
        { key: keys[3], error: refused('invalid_key') },
        { key: keys[4], url: expect.any(String) },
      ],
    })
  })

  it.each([
    ['no keys', { keys: [] }, 'invalid_request'],
    ['1001 keys', { keys: keyList(1001) }, 'invalid_request'],
    ['a key that is not a string', { keys: [7] }, 'invalid_request'],
    ['an unknown use', { keys: ['a'], use: 'upload' }, 'invalid_request'],
    ['a lifetime out of range', { keys: ['a'], expiresIn: 604_801 }, 'invalid_expiry'],
    ['an unknown bucket', { keys: ['a'], bucket: 'nope' }, 'unknown_bucket'],
    ['more than 2 MiB', { keys: Array(1000).fill('k'.repeat(2200)) }, 'body_too_large'],
  ])('refuses %s as a whole', async (_, body, code) => {
    expect(await (await worker.post('/files/urls', body)).json()).toMatchObject({ code })
  })

  it('accepts 1000 keys of 1000 bytes', async () => {
    const keys = Array.from({ length: 1000 }, (_, i) => String(i).padStart(1000, 'k'))
    const { urls }: SignedPage = await (await worker.post('/files/urls', { keys })).json()
    expect(new Set(urls.map(({ url }) => url)).size).toBe(1000)
  })
})

describe('GET /files with urls', () => {
  const fill = async (keys: readonly string[]) => {
    const facts = { v: 1, size: 1, mimetype: 'image/png', etag: '"e"', owner: null }
    for (const key of keys) {
      const metadata = { name: key, ...facts, createdAt: '2026-11-24T00:00:00.000Z' }
      await env.FILE_INDEX.put(`file:files:${key}`, '', { metadata })
    }
  }

  it('includes the URL for the requested use in each record', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-24T12:00:00Z'), toFake: ['Date'] })
    await fill(['urls/a.png', 'urls/b.svg'])
    const response = await worker.fetch('/files?prefix=urls/&urls=email')
    const { files }: { files: { key: string; url: string }[] } = await response.json()
    expect(files).toHaveLength(2)
    for (const { key, url } of files) {
      const one = await worker.fetch(`/files/${encodeURIComponent(key)}/url?use=email`)
      expect(await one.json()).toMatchObject({ url })
    }
  })

  it('also needs the scope to read', async () => {
    const apiKey = await testApiKey('lister', ['files:list'])
    const lister = testWorker({ API_KEYS: [apiKey.entry], OPEN_ACCESS: undefined })
    expect((await lister.fetch('/files', bearer(apiKey.token))).status).toBe(200)
    expect((await lister.fetch('/files?urls=view', bearer(apiKey.token))).status).toBe(403)
  })

  it('reads KV once, for the list', async () => {
    const calls: string[] = []
    const counted = new Proxy(env.FILE_INDEX, {
      get(kv, name) {
        const member: unknown = Reflect.get(kv, name)
        if (typeof member !== 'function') return member
        return (...given: unknown[]) => {
          calls.push(String(name))
          return Reflect.apply(member, kv, given)
        }
      },
    })
    const response = await testWorker({ FILE_INDEX: counted }).fetch('/files?urls=view&limit=1000')
    expect(response.status).toBe(200)
    expect(calls).toEqual(['list'])
  })
})
