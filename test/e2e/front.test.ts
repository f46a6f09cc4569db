import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Front, startFront } from '../../cli/front.ts'

const APP = 'https://app.example.com'

/** Returns a server on a free port of 127.0.0.1, and the port. */
async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

describe('the proxy of npm run dev', () => {
  /** Answers with the credential that it got. */
  const worker = createServer((request, response) => {
    response.setHeader('access-control-allow-origin', request.headers.origin ?? 'none')
    response.end(request.headers.authorization ?? 'no key')
  })
  const lines: string[] = []
  let front: Front
  let url: string

  beforeAll(async () => {
    const workerPort = await listening(worker)
    const free = createServer()
    const port = await listening(free)
    await new Promise((resolve) => free.close(resolve))
    url = `http://localhost:${port}`
    front = await startFront({
      port,
      workerPort,
      origin: url,
      callers: { origins: [APP], loopbackOrigins: true, host: undefined, bucketPort: undefined },
      apiKey: 'key',
      keyForNetwork: false,
      log: (line) => lines.push(line),
    })
  })
  afterAll(async () => {
    await front.close()
    worker.close()
  })

  const ask = (headers: Readonly<Record<string, string>>) =>
    fetch(url.replace('localhost', '127.0.0.1'), { headers })
  const crossSite = { 'Sec-Fetch-Site': 'cross-site' }

  it.each([
    ['a program', {}, true],
    ['an address that the user typed', { 'Sec-Fetch-Site': 'none' }, true],
    ['an image on a page of localhost', { 'Sec-Fetch-Site': 'same-site' }, true],
    ['an image on a page of 127.0.0.1', { ...crossSite, Referer: 'http://127.0.0.1:5173/a' }, true],
    ['an image on a page of --origin', { ...crossSite, Referer: `${APP}/` }, true],
    ['an image on a foreign page', { ...crossSite, Referer: 'https://evil.example/' }, false],
    ['an image on a page without a Referer', crossSite, false],
    ['a script on a foreign page', { ...crossSite, Origin: 'https://evil.example' }, false],
    [
      'a foreign page, whatever its Referer',
      { ...crossSite, Origin: 'https://evil.example', Referer: APP },
      false,
    ],
  ])('adds the key only for its callers: %s', async (_, headers, hasKey) => {
    expect(await (await ask(headers)).text()).toBe(hasKey ? 'Bearer key' : 'no key')
  })

  // @threat dev-log-secrets
  it.each([
    ['/u/ept_secret/files?a=b', '/u/…/files'],
    ['/g/secret', '/g/…'],
    ['/g/secret/more', '/g/…/more'],
    ['/d/secret/token', '/d/…/token'],
    ['/files/g/public', '/files/g/public'],
  ])('logs no secret of %s', async (path, shown) => {
    lines.length = 0
    await fetch(url.replace('localhost', '127.0.0.1') + path)
    await expect.poll(() => lines.length).toBe(1)
    expect(lines[0]).toMatch(/^GET \S+ 200 \d+ ms$/)
    expect(lines[0]?.split(' ')[1]).toBe(shown)
  })

  it('allows the origin of a known page, however the Worker spells the header', async () => {
    const { headers } = await ask({ Origin: APP })
    expect(headers.get('Access-Control-Allow-Origin')).toBe(APP)
  })
})
