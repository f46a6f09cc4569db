import { afterEach, describe, expect, it, vi } from 'vitest'
import { bucketFetch } from '../../support/bucket.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer } from '../../support/credentials.ts'
import {
  arrive,
  askToken,
  boxRequest,
  createBox,
  currently,
  MINUTE,
  objectOf,
  outcome,
  passes,
  visit,
  workerWith,
} from '../../support/drop-boxes.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../support/fake-seconds.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const FILE = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }

/** A Worker whose objects fail as `how` says, from the method `name` on. */
const failing = (how: () => Promise<never>, name?: string) =>
  workerWith({
    getByName: (id: string) => {
      const real = objectOf({ id })
      return new Proxy(real, {
        get: (target, method) =>
          name === undefined || method === name ? how : Reflect.get(target, method),
      })
    },
  })

describe('an object that fails', () => {
  const broken = failing(async () => {
    throw new Error('Durable Object is overloaded.')
  })

  // @threat box-state-unavailable
  it('is 503 everywhere, and nothing is signed', async () => {
    const box = await createBox()
    const sender = await visit(box)
    const key = await sender.put()
    const lines = captureLog()
    for (const response of [
      await broken.fetch(box.url),
      await askToken(box, {}, broken),
      await broken.post('/multipart', FILE, bearer(sender.token)),
      await broken.post('/files', { key }, bearer(sender.token)),
      await broken.fetch('/limits', bearer(sender.token)),
      await broken.post('/drop-boxes', boxRequest()),
      await broken.fetch('/drop-boxes'),
      await broken.fetch(`/drop-boxes/${box.id}`),
      await broken.fetch(`/drop-boxes/${box.id}/files`),
      await broken.fetch(`/drop-boxes/${box.id}`, { method: 'DELETE' }),
    ]) {
      expect(response.headers.get('Retry-After')).toBe('5')
      const text = await response.text()
      expect(`${response.status} ${text}`).toMatch(/^503 .*"state"/)
      expect(text).not.toMatch(/X-Amz|overloaded/)
    }
    expect(lines.join('\n')).toContain('overloaded')
  })

  it.each(['reserve', 'settle'])('is 503 if only %s fails', async (name) => {
    const box = await createBox()
    const sender = await visit(box)
    const key = await sender.put()
    await arrive(box, key)
    const by = failing(async () => {
      throw new Error('Gone.')
    }, name)
    const response =
      name === 'reserve'
        ? await by.post('/multipart', FILE, bearer(sender.token))
        : await by.post('/files', { key }, bearer(sender.token))
    expect(await outcome(response)).toBe('503 unavailable state')
    const record = await bucketFetch(`index-${key}`, { method: 'HEAD' })
    expect(record.ok).toBe(false)
    // The alarm repairs it.
    await passes(7 * MINUTE, box)
    expect((await currently(box)).received.files).toBe(1)
  })

  it('is 503 if it hangs', async () => {
    const box = await createBox()
    const { token } = await visit(box)
    const hanging = failing(() => new Promise<never>(() => {}), 'reserve')
    vi.useFakeTimers(FAKE_CLOCK)
    const asked = hanging.post('/multipart', FILE, bearer(token))
    const [response, seconds] = await fakeSeconds(asked)
    vi.useRealTimers()
    expect(await outcome(response)).toBe('503 unavailable state')
    expect(seconds).toBe(5)
  })

  it('that fails hides no other box of a list', async () => {
    captureLog()
    const [first, broken, last] = [await createBox(), await createBox(), await createBox()]
    const partly = workerWith({
      getByName: (id: string) => {
        if (id !== broken.id) return objectOf({ id })
        return { state: () => Promise.reject(new Error('Gone.')) }
      },
    })
    const page = await (await partly.fetch('/drop-boxes?limit=3')).json<object>()
    expect(page).toMatchObject({
      dropBoxes: [{ id: last.id }, { id: first.id }],
      unavailable: [broken.id],
    })
    expect(page).toHaveProperty('dropBoxes.length', 2)
  })

  it('is 503 if nothing but its creation responds', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    captureLog()
    const by = workerWith({
      getByName: (id: string) =>
        new Proxy(objectOf({ id }), {
          get: (target, method) =>
            /^(?:list|end)$/.test(String(method))
              ? () => new Promise(() => undefined)
              : Reflect.get(target, method),
        }),
    })
    const [response, seconds] = await fakeSeconds(by.post('/drop-boxes', boxRequest()))
    vi.useRealTimers()
    expect(await outcome(response)).toBe('503 unavailable state')
    // The second half is after the response: this Worker waits for that too.
    expect(seconds).toBe(10)
  })

  it('leaves no listed box that does not exist', async () => {
    const by = failing(async () => {
      throw new Error('Gone.')
    }, 'create')
    const request = boxRequest()
    expect(await outcome(await by.post('/drop-boxes', request))).toBe('503 unavailable state')
    const list = await by.fetch('/drop-boxes?limit=100')
    expect(await list.text()).not.toContain(String(request.prefix))
  })
})

describe('the bucket', () => {
  it('that fails only postpones a look', async () => {
    const box = await createBox()
    const key = await (await visit(box)).put()
    const lines = captureLog()
    const real = globalThis.fetch
    vi.stubGlobal('fetch', async () => new Response(null, { status: 500 }))
    await passes(7 * MINUTE, box)
    vi.stubGlobal('fetch', real)
    expect((await currently(box)).received.files).toBe(0)
    expect(lines.join('\n')).toContain('files not recorded')
    expect(lines.join('\n')).not.toContain(key)
    await passes(10 * MINUTE, box)
    expect((await currently(box)).received.files).toBe(1)
  })
})
