import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type BuiltWorker, startBuiltWorker, UNREACHABLE } from './built-worker.ts'

const SECRET = 'notifications-0123456789abcdef0123456789'
const BODY = Buffer.alloc(10 * 1024 ** 2, ' ')

let worker: BuiltWorker
beforeAll(async () => {
  const variables = { OPEN_ACCESS: 'localhost', NOTIFICATION_SECRETS: SECRET }
  worker = await startBuiltWorker({ ...UNREACHABLE, variables })
})
afterAll(() => worker.close())

/** Sends 10 MB as a client that reads the response only after its whole body. */
async function send(path: string, headers: Record<string, string>) {
  const sent = request(worker.origin + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
  })
  return new Promise<{ status: number | undefined; body: unknown }>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', async (response) =>
      resolve({ status: response.statusCode, body: JSON.parse(await text(response)) }),
    )
    sent.end(BODY)
  })
}

// @threat body-hostile
it.each([
  ['with its length', { 'Content-Length': String(BODY.length) }],
  ['in chunks', { 'Transfer-Encoding': 'chunked' }],
])(
  'answers a body that is much too large %s, and does not break the connection',
  async (_, length) => {
    expect(await send('/files/upload-url', length)).toMatchObject({
      status: 413,
      body: { code: 'body_too_large' },
    })
    const headers = { ...length, Authorization: `Bearer ${SECRET}` }
    expect(await send('/notifications', headers)).toMatchObject({
      status: 200,
      body: { counts: { malformed: 1 } },
    })
  },
)

/** Sends `path` as it is written here. `fetch` would rewrite it before. */
async function statusOf(path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(worker.origin)
  const sent = request({ hostname, port, path }).end()
  const [response]: IncomingMessage[] = await once(sent, 'response')
  response?.resume()
  return response?.statusCode
}

// @threat link-two-spellings
it('answers a link only in the spelling that remains after the URL was parsed', async () => {
  const made = await fetch(`${worker.origin}/files/a%2Fb.png/link`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{}',
  })
  const { link } = (await made.json()) as { link: string }
  const path = link.slice(new URL(link).origin.length)
  // The link is valid, but there is no bucket.
  expect(await statusOf(path)).toBe(502)
  for (const same of ['/i/./files/', '/i/x/../files/', '/i/x/%2e%2e/files/', '/i\\files/'])
    expect(await statusOf(path.replace('/i/files/', same)), same).toBe(502)
  for (const other of ['/i//files/', '/i/%66iles/', '/I/files/', '/i/files//', '/i/x%2f../files/'])
    expect(await statusOf(path.replace('/i/files/', other)), other).not.toBe(502)
  for (const other of ['a/b.png', 'a%2fb.png', '%61%2Fb.png'])
    expect(await statusOf(path.replace('a%2Fb.png', other)), other).toBe(403)
  for (const more of ['&', '&x=1', '=']) expect(await statusOf(path + more), more).toBe(403)
})

// @threat folder-escaped link-two-spellings
it('answers a folder link only for keys that are below it after the URL was parsed', async () => {
  const made = await fetch(`${worker.origin}/links/folder`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ prefix: 'a/b/' }),
  })
  const { base } = (await made.json()) as { base: string }
  const path = base.slice(new URL(base).origin.length)
  // The link is valid, but there is no bucket.
  for (const inside of [
    'c.ts',
    'd/c.ts',
    './c.ts',
    'd/../c.ts',
    '../b/c.ts',
    '%2e%2e/b/c.ts',
    '%C3%A9.ts',
  ])
    expect(await statusOf(path + inside), inside).toBe(502)
  for (const outside of [
    ...['../c.ts', '%2e%2e/c.ts', '.%2E/c.ts', '..\\c.ts', 'd/../../c.ts', '../../a/c.ts'],
    ...['..%2fc.ts', '..%2Fc.ts', '..%5Cc.ts', '%2e%2e%2fc.ts', '..%252fc.ts/..', '../bc.ts'],
    ...['', '.', 'd/', '/c.ts', 'd//c.ts', '%63.ts', 'c.ts?', 'c.ts?x=1', 'c.ts%00', 'c%2ets'],
  ])
    expect(await statusOf(path + outside), outside).toBe(403)
})
