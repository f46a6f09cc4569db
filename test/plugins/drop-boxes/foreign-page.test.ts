import { describe, expect, it } from 'vitest'
import { askToken, createBox, outcome } from '../../support/drop-boxes.ts'
import { testWorker } from '../../support/worker.ts'

const APP = 'https://app.example'
const EVIL = 'https://evil.example'
const worker = testWorker({ CORS_ORIGINS: [APP] })
const linkHost = testWorker({ CORS_ORIGINS: [APP], LINK_ORIGIN: 'https://links.example' })

const from = (Origin: string) => ({ Origin, 'Sec-Fetch-Site': 'cross-site' })
const allowed = (response: Response) => response.headers.get('Access-Control-Allow-Origin')

describe.each([
  ['the host of the API', worker],
  ['LINK_ORIGIN', linkHost],
])('a page of corsOrigins instead of the page of a box, at %s', (_, by) => {
  it('gets a token, and uploads with it', async () => {
    const box = await createBox({}, by)
    const preflight = (url: string) =>
      by.fetch(url, {
        method: 'OPTIONS',
        headers: {
          Origin: APP,
          'Access-Control-Request-Method': 'POST',
          'Access-Control-Request-Headers': 'authorization, content-type',
        },
      })
    expect(allowed(await preflight(`${box.url}/token`))).toBe(APP)
    const response = await askToken(box, { headers: from(APP) }, by)
    expect(allowed(response)).toBe(APP)
    const { token, endpoint } = await response.json<{ token: string; endpoint: string }>()
    const url = `${endpoint}/multipart`
    expect(new URL(url).origin).toBe(new URL(box.url).origin)
    expect(allowed(await preflight(url))).toBe(APP)
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    const headers = { ...from(APP), Authorization: `Bearer ${token}` }
    const signed = await by.post(url, file, { headers })
    expect(signed.status).toBe(200)
    expect(allowed(signed)).toBe(APP)
  })

  // @threat box-csrf
  it('is refused at any other origin, which can not read the answer either', async () => {
    const box = await createBox({}, by)
    for (const origin of [EVIL, 'null', `${APP}.evil.example`]) {
      const response = await askToken(box, { headers: from(origin) }, by)
      expect(allowed(response)).toBeNull()
      expect(await outcome(response)).toBe('403 forbidden')
    }
  })
})

// @threat box-link-host
it('the host of LINK_ORIGIN answers only preflights for a credential that belongs there', async () => {
  const ask = async (origin: string, headers: string) => {
    const { status } = await linkHost.fetch('https://links.example/files', {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': headers,
      },
    })
    return status
  }
  expect(await ask(APP, 'authorization,content-type')).toBe(204)
  expect(await ask(APP, 'content-type')).toBe(404)
  expect(await ask(EVIL, 'authorization,content-type')).toBe(404)
})

it('a request without a password is no guess', async () => {
  const box = await createBox({ password: 'open door' })
  for (let tries = 0; tries < 5; tries++)
    expect(await outcome(await askToken(box))).toBe('403 password_wrong')
  expect(await outcome(await askToken(box, { password: '' }))).toBe('403 password_wrong')
  expect((await askToken(box, { password: 'open door' })).status).toBe(200)
})
