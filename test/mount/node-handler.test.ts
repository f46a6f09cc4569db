import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { newApp } from '../../src/http/new-app.ts'
import { createPresigner, defineSettings, type Plugin } from '../../src/index.ts'
import { toNodeHandler } from '../../src/node.ts'
import { files } from '../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { ANN } from '../support/ann.ts'
import { settingsInput, upload } from '../support/app.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

let cancelled = 0
const streams: Plugin = {
  name: 'streams',
  api: newApp()
    .get('/endless', () => {
      const pull = (controller: ReadableStreamDefaultController) =>
        controller.enqueue(new Uint8Array(65_536))
      return new Response(new ReadableStream({ pull, cancel: () => void cancelled++ }))
    })
    .get('/broken', () => {
      let count = 0
      const pull = (controller: ReadableStreamDefaultController) =>
        count++ < 2 ? controller.enqueue(new Uint8Array(10)) : controller.error(new Error('broken'))
      return new Response(new ReadableStream({ pull }))
    })
    .get('/cookies', () => {
      const headers = new Headers([
        ['Set-Cookie', 'a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT'],
        ['Set-Cookie', 'b=2'],
      ])
      return new Response('', { headers })
    })
    .post('/echo', async (c) => new Response(await c.req.arrayBuffer())),
}

const presigner = createPresigner<{ incoming: IncomingMessage }>(defineSettings(settingsInput()), {
  basePath: '/api/media',
  plugins: [files({ index: memoryFileIndex() }), streams],
  authenticate: ({ env }) => (env.incoming.headers.cookie === 'session=ann' ? ANN : null),
  log: () => undefined,
})
const handler = toNodeHandler(presigner)

/** Starts a server. `before` does what a middleware in front of it does. */
async function serve(
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => unknown = handler,
) {
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing))
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object') throw new Error('no port')
  const origin = `http://127.0.0.1:${address?.port}`
  return {
    origin,
    fetch: (path: string, init: RequestInit = {}) =>
      fetch(origin + path, { ...init, headers: { Cookie: 'session=ann', ...init.headers } }),
    post(path: string, body: unknown) {
      const headers = { 'Content-Type': 'application/json' }
      return this.fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
    },
  }
}

describe('toNodeHandler', () => {
  // @threat route-guard-skipped
  it('takes the path only from the URL, never from the Host', async () => {
    const { origin } = await serve()
    const ask = (path: string, Host: string) =>
      new Promise<[number | undefined, string]>((resolve, reject) => {
        const sent = send(origin, { path, headers: { Host } }, async (response) => {
          let text = ''
          for await (const chunk of response) text += new TextDecoder().decode(chunk)
          resolve([response.statusCode, text])
        })
        sent.on('error', () => reject(new Error('No answer.')))
        sent.end()
      })
    for (const host of ['a.example/api/media/healthz?', 'a.example#', 'a@b', 'a b']) {
      const [status, text] = await ask('/api/media/none', host)
      expect([host, status, text]).toEqual([host, 400, 'The Host header or the URL is malformed.'])
    }
    for (const host of ['a.example', 'a.example:80', '[::1]:80', 'LOCALHOST'])
      expect((await ask('/api/media/healthz', host))[0]).toBe(200)
    expect((await ask('http://other.example/api/media/healthz', 'a.example'))[0]).toBe(200)
    expect((await ask('*', 'a.example'))[0]).toBe(400)
    expect((await ask('//other.example/api/media/healthz', 'a.example'))[0]).toBe(404)
  })

  it('serves the API below its path, with the request of Node in env', async () => {
    const app = await serve()
    const key = await upload(app, '/api/media')
    expect((await app.post('/api/media/files', { key })).status).toBe(201)
    const listed = await app.fetch('/api/media/files')
    expect(await listed.json()).toMatchObject({ files: [{ key }] })
    expect(listed.headers.get('X-Request-Id')).toMatch(/-/)
    const anybody = await fetch(`${app.origin}/api/media/files`)
    expect(anybody.status).toBe(401)
    expect((await app.fetch('/files')).status).toBe(404)
  })

  it('takes the whole URL of Express, which has removed its path', async () => {
    const app = await serve((incoming, outgoing) => {
      const originalUrl = incoming.url
      return handler(Object.assign(incoming, { originalUrl, url: '/healthz' }), outgoing)
    })
    expect((await app.fetch('/api/media/limits')).status).toBe(200)
  })

  it('passes its second argument as env', async () => {
    const settings = defineSettings(({ SECRET }: { SECRET: string }) =>
      settingsInput({ signingSecrets: SECRET }),
    )
    const own = createPresigner(settings, { log: () => undefined })
    const valid = { SECRET: `k1:${'s'.repeat(32)}` }
    const statuses = [valid, { SECRET: '' }].map(async (env) => {
      const app = await serve(toNodeHandler(own, env))
      return (await app.fetch('/healthz')).status
    })
    expect(await Promise.all(statuses)).toEqual([200, 503])
  })

  it('sends bytes, several cookies, and no body for HEAD', async () => {
    const app = await serve()
    const bytes = crypto.getRandomValues(new Uint8Array(60_000))
    const echoed = await app.fetch('/api/media/echo', { method: 'POST', body: bytes })
    expect(new Uint8Array(await echoed.arrayBuffer())).toEqual(bytes)
    expect((await app.fetch('/api/media/cookies')).headers.getSetCookie()).toHaveLength(2)
    const head = await app.fetch('/api/media/healthz', { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
  })

  it('says what has read the body, to Express or to the client', async () => {
    const seen: unknown[] = []
    /** Reads JSON, like `express.json()`. */
    const json = async (incoming: IncomingMessage) => {
      if (/json/.test(incoming.headers['content-type'] ?? ''))
        for await (const _ of incoming) seen.push('chunk')
    }
    const next = vi.fn()
    const express = await serve(async (incoming, outgoing) => {
      await json(incoming)
      await handler(incoming, outgoing, (error) => {
        next(error)
        outgoing.end()
      })
    })
    await express.post('/api/media/files/urls', { keys: ['a'] })
    expect(next.mock.lastCall?.[0]).toMatchObject({
      message: expect.stringContaining('Register the presigner before it'),
    })
    expect((await express.fetch('/api/media/limits')).status).toBe(200)
    const plain = await serve(async (incoming, outgoing) => {
      await json(incoming)
      await handler(incoming, outgoing)
    })
    const refused = await plain.post('/api/media/files/urls', { keys: ['a'] })
    expect([refused.status, await refused.text()]).toEqual([
      500,
      expect.stringContaining('express.json()'),
    ])
  })

  it('cancels what nobody reads any more, and does not end what is not whole', async () => {
    const { origin } = await serve()
    const before = cancelled
    await new Promise<void>((resolve) => {
      const headers = { Cookie: 'session=ann' }
      const sent = send(`${origin}/api/media/endless`, { headers }, (response) => {
        response.once('data', () => {
          sent.destroy()
          resolve()
        })
      })
      sent.on('error', () => undefined)
      sent.end()
    })
    await expect.poll(() => cancelled).toBe(before + 1)
    const headers = { Cookie: 'session=ann' }
    const broken = fetch(`${origin}/api/media/broken`, { headers }).then((one) => one.text())
    await expect(broken).rejects.toThrow()
  })
})
