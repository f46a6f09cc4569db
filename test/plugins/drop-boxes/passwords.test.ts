import { afterEach, describe, expect, it, vi } from 'vitest'
import { askToken, createBox, outcome, tokenFor } from '../../support/drop-boxes.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

afterEach(() => {
  vi.useRealTimers()
})

describe('a password', () => {
  // @threat box-password
  it('is needed for a token, but the page shows no more than the box', async () => {
    const box = await createBox({ password: 'correct horse' })
    expect(box.hasPassword).toBe(true)
    expect(JSON.stringify(box)).not.toContain('horse')
    expect(await outcome(await askToken(box))).toBe('403 password_wrong')
    expect(await outcome(await askToken(box, { password: 'Correct horse' }))).toBe(
      '403 password_wrong',
    )
    expect((await askToken(box, { password: 'correct horse' })).status).toBe(200)
  })

  it('is the same in every Unicode form', async () => {
    const box = await createBox({ password: 'caf\u00e9 noir' })
    expect((await askToken(box, { password: 'cafe\u0301 noir' })).status).toBe(200)
  })

  // @threat box-password-guessing
  it('can be guessed only with growing delays, by each network for itself', async () => {
    const box = await createBox({ password: 'secret word' })
    const guess = (ip: string, password = 'wrong') => askToken(box, { ip, password })
    const answers = []
    for (let i = 0; i < 6; i++) answers.push(await outcome(await guess('203.0.113.1')))
    expect(answers.slice(0, 4)).toEqual(Array(4).fill('403 password_wrong'))
    expect(answers.slice(4)).toEqual(Array(2).fill('429 rate_limited'))
    const waiting = await guess('203.0.113.1', 'secret word')
    expect(waiting.status).toBe(429)
    expect(Number(waiting.headers.get('Retry-After'))).toBeGreaterThan(0)
    expect((await guess('203.0.113.2', 'secret word')).status).toBe(200)
  })

  it('lets only the free guesses through of 100 at once', async () => {
    const box = await createBox({ password: 'secret word' })
    // The wait for the next guess must not pass on a slow machine.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
    const all = Array.from({ length: 100 }, (_, i) => askToken(box, { password: `${i}` }))
    const answers = await Promise.all((await Promise.all(all)).map(outcome))
    expect(answers.filter((one) => one === '403 password_wrong')).toHaveLength(4)
  })

  // @threat box-password-guessing
  it('goes on with its delays when the secrets rotate', async () => {
    const box = await createBox({ password: 'secret word' })
    const rotated = testWorker({
      SIGNING_SECRETS: 'k2:ffffffffffffffffffffffffffffffff,k1:0123456789abcdef0123456789abcdef',
    })
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
    const guess = (by?: typeof rotated) => askToken(box, { ip: '203.0.113.1', password: 'x' }, by)
    for (let i = 0; i < 5; i++) await guess()
    expect(await outcome(await guess(rotated))).toBe('429 rate_limited')
  })

  it('ends with its signing secret', async () => {
    const box = await createBox({ password: 'secret word' })
    const rotated = testWorker({ SIGNING_SECRETS: 'k2:ffffffffffffffffffffffffffffffff' })
    expect(await outcome(await askToken(box, { password: 'secret word' }, rotated))).toBe(
      '410 drop_box_closed',
    )
  })
})

// @threat box-guessing
it('answers the same for every id that opens nothing', async () => {
  const box = await createBox()
  const closed = await createBox()
  await worker.fetch(`/drop-boxes/${closed.id}`, { method: 'DELETE' })
  const bodies = new Set()
  const secret = box.url.split('/').at(-1) ?? ''
  const other = `${secret.startsWith('A') ? 'B' : 'A'}${secret.slice(1)}`
  for (const path of [`/d/${other}`, '/d/a', '/d/%00', closed.url, `/d/${secret}a`]) {
    for (const response of [await worker.fetch(path), await worker.post(`${path}/token`, {})]) {
      expect(response.status).toBe(410)
      const { requestId: _, ...body } = await response.json<{ requestId: string }>()
      bodies.add(JSON.stringify(body))
    }
  }
  expect([...bodies]).toHaveLength(1)
})

describe('a page of another origin', () => {
  // @threat box-csrf
  it.each([
    { Origin: 'https://evil.example' },
    { Origin: 'null' },
    { 'Sec-Fetch-Site': 'cross-site', Origin: 'http://localhost:8787' },
    { 'Sec-Fetch-Site': 'same-site' },
    { 'Sec-Fetch-Site': 'none' },
  ])('gets no token: %j', async (headers) => {
    const box = await createBox()
    const response = await askToken(box, { headers: headers as Record<string, string> })
    expect(await outcome(response)).toBe('403 forbidden')
  })

  it('gets none by a form either', async () => {
    const box = await createBox()
    const response = await worker.fetch(`${box.url}/token`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain' },
      body: '{}',
    })
    expect(response.status).toBe(415)
  })

  it('is not the page itself', async () => {
    const box = await createBox()
    const headers = { Origin: 'http://localhost:8787', 'Sec-Fetch-Site': 'same-origin' }
    await tokenFor(box, { headers })
  })
})
