import { describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import {
  linkTo,
  open,
  putObject as put,
  putUnder,
  requestsFor,
  textOf,
} from '../../support/links.ts'
import { mount } from '../../support/mount.ts'
import { failNextPurge, hangNextPurge } from '../../support/purge.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

const purge = (keys: readonly string[], bucket = 'counted', init?: RequestInit) =>
  worker.post('/files/purge', { keys, bucket }, init)

const shown = async (link: string) => textOf(await open(link))

describe('POST /files/purge', () => {
  it('removes the edge copies of objects, and neither the objects nor other copies', async () => {
    const [a, b, c] = await Promise.all(['a.png', 'b.png', 'c.png'].map((name) => put(name, 'old')))
    if (!(a && b && c)) throw new Error('No keys.')
    const links = await Promise.all([a, b, c].map(async (key) => (await linkTo(key)).link))
    const contents = () => Promise.all(links.map(shown))
    expect(await contents()).toEqual(['old', 'old', 'old'])
    await Promise.all([a, b, c].map((key) => putUnder(key, 'new')))
    expect(await contents()).toEqual(['old', 'old', 'old'])

    const response = await purge([a, b, a])
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ purged: [{ key: a }, { key: b }, { key: a }] })
    expect(await contents()).toEqual(['new', 'new', 'old'])
    expect(await contents()).toEqual(['new', 'new', 'old'])
    expect(await Promise.all([a, b, c].map((key) => requestsFor(key)))).toEqual([2, 2, 1])
    expect((await bucketFetch(a)).status).toBe(200)
  })

  it('takes keys of missing objects, and up to 100', async () => {
    const keys = Array.from({ length: 100 }, (_, i) => `purge/${i}.png`)
    expect(await (await purge(keys)).json()).toEqual({ purged: keys.map((key) => ({ key })) })
    for (const wrong of [[...keys, 'one'], [], 'a', undefined])
      expect((await purge(wrong as string[])).status).toBe(400)
  })

  // @threat purge-foreign
  it("purges no copy outside the caller's prefix, and needs the scope", async () => {
    const apiKey = await testApiKey('a', SCOPES, 'team-a/')
    const other = await testApiKey(
      'b',
      SCOPES.filter((scope) => scope !== 'files:purge'),
    )
    const own = testWorker({ API_KEYS: [apiKey.entry, other.entry], OPEN_ACCESS: undefined })
    const key = await put('a.png', 'old')
    const { link } = await linkTo(key)
    await shown(link)
    const keys = ['team-a/1.png', key, 'team-a/../2.png', 'team-a/3.png']
    const ask = (token: string) =>
      own.post('/files/purge', { keys, bucket: 'counted' }, bearer(token))
    expect(await (await ask(apiKey.token)).json()).toEqual({
      purged: [
        { key: keys[0] },
        { key, error: { code: 'forbidden', message: expect.any(String) } },
        { key: keys[2], error: { code: 'invalid_key', message: expect.any(String) } },
        { key: keys[3] },
      ],
    })
    expect((await ask(other.token)).status).toBe(403)
    expect(await shown(link)).toBe('old')
    expect(await requestsFor(key)).toBe(1)
  })

  // @threat purge-foreign
  it('calls the edge cache once for all keys, and not for refused ones', async () => {
    const mock = failNextPurge(new Error('The edge cache refused the purge.'))
    const keys = ['purge/a.png', 'purge/b.png']
    const failed = await purge(keys)
    expect(failed.status).toBe(503)
    expect(failed.headers.get('Retry-After')).toBe('60')
    expect(await failed.json()).toMatchObject({ code: 'unavailable', reason: 'purge' })
    expect(mock.mock.calls).toEqual([['counted', keys]])
    expect((await purge(keys)).status).toBe(200)
    expect(mock).toHaveBeenCalledTimes(2)
    expect((await purge(['../a', ''])).status).toBe(200)
    expect(mock).toHaveBeenCalledTimes(2)
  })

  it('leaves a refused purge to the queue, if there is one', async () => {
    const queued: { readonly body: unknown }[] = []
    const queue = {
      async sendBatch(messages: Iterable<{ readonly body: unknown }>) {
        queued.push(...messages)
      },
    }
    failNextPurge(new Error('The edge cache refused the purge.'))
    const keys = Array.from({ length: 60 }, (_, i) => `purge/${i}.png`)
    const body = { keys, bucket: 'counted' }
    const response = await testWorker({ EVENTS: queue }).post('/files/purge', body)
    expect(response.status).toBe(200)
    expect(queued.map((message) => message.body)).toEqual([
      { version: 1, kind: 'purge', bucket: 'counted', keys: keys.slice(0, 50) },
      { version: 1, kind: 'purge', bucket: 'counted', keys: keys.slice(50) },
    ])
  })

  it('ends if the edge cache does not answer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    hangNextPurge()
    const asked = purge(['purge/a.png'])
    for (let i = 0; i < 30; i++) await vi.advanceTimersByTimeAsync(1000)
    vi.useRealTimers()
    expect(await (await asked).json()).toMatchObject({ code: 'unavailable', reason: 'purge' })
  })

  it('says that there is nothing to purge without an edge cache', async () => {
    const app = mount({ links: { entrypoint: null } })
    const response = await app.post('/media/files/purge', { keys: ['a.png'] })
    expect(response.status).toBe(501)
    expect(await response.json()).toMatchObject({ code: 'not_supported' })
  })
})
