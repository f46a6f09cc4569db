import { runInDurableObject } from 'cloudflare:test'
import { Hono } from 'hono'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createPresigner, defineSettings, type FileIndex } from '../../src/index.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { dropBoxesObject } from '../../src/plugins/drop-boxes/cloudflare.ts'
import { memoryFileIndex } from '../../src/testing.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, settingsInput, upload } from '../support/app.ts'
import { captureLog } from '../support/capture-log.ts'
import { bearer } from '../support/credentials.ts'
import { createBox, MINUTE, visit } from '../support/drop-boxes.ts'
import { everyPlugin } from '../support/every-plugin.ts'
import { grantFor } from '../support/grants.ts'
import { textOf } from '../support/links.ts'
import { clientOf, type Mounted } from '../support/mount.ts'
import { stateStub } from '../support/state-stub.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const presigner = (name: string, index: FileIndex, entrypoint = 'Objects') =>
  createPresigner(
    defineSettings(() => settingsInput({ name })),
    {
      plugins: everyPlugin({ files: { index: () => index }, links: { entrypoint } }),
      authenticate: () => ANN,
      log: () => {},
    },
  )

/** Two presigners in one host app, with one bucket, one index and one secret. */
function twoInstances(one: string, other: string): Omit<Mounted, 'lines'> {
  const host = new Hono()
  const index = memoryFileIndex()
  host.route('/one', presigner(one, index).app)
  host.route('/other', presigner(other, index).app)
  return clientOf(host)
}

describe.each([
  ['media', 'avatars'],
  ['', 'media'],
])('instances with equal secrets and the names "%s" and "%s"', (one, other) => {
  const app = twoInstances(one, other)
  let keys: string[]

  /**
   * The statuses of the same request at the instance that signed its content, and at the other one.
   */
  const both = async (ask: (base: string) => Promise<Response>) => [
    (await ask('/one')).status,
    (await ask('/other')).status,
  ]

  beforeAll(async () => {
    keys = [await upload(app, '/one'), await upload(app, '/one')]
    for (const key of keys) await app.post('/one/files', { key, name: 'a.png' })
  })

  // @threat instance-confused
  it("refuse each other's links", async () => {
    const { link } = await jsonOf<{ link: string }>(
      await app.post(`/one/files/${keys[0]}/link`, {}),
    )
    expect(await both((base) => app.fetch(link.replace('/one/', `${base}/`)))).toEqual([200, 403])
  })

  // @threat instance-confused
  it("refuse each other's tokens", async () => {
    const { token } = await jsonOf<{ token: string }>(
      await app.post('/one/tokens', { scopes: ['files:list'] }),
    )
    expect(await both((base) => app.fetch(`${base}/u/${token}/files`))).toEqual([200, 401])
    expect(await both((base) => app.fetch(`${base}/files`, bearer(token)))).toEqual([200, 401])
  })

  // @threat instance-confused
  it("refuse each other's cursors", async () => {
    const { cursor } = await jsonOf(await app.fetch('/one/files?limit=1'))
    expect(await both((base) => app.fetch(`${base}/files?limit=1&cursor=${cursor}`))).toEqual([
      200, 400,
    ])
  })

  // @threat instance-confused
  it("refuse each other's upload ids", async () => {
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5 }
    const { key, uploadId } = await jsonOf(await app.post('/one/multipart', file))
    const body = { key, partNumbers: [1] }
    expect(await both((base) => app.post(`${base}/multipart/${uploadId}/urls`, body))).toEqual([
      200, 400,
    ])
  })

  // @threat instance-confused
  it("refuse each other's grants, and don't list them", async () => {
    const { id, url } = await grantFor({ key: keys[0] }, app, {}, '/one')
    expect(await both((base) => app.fetch(`${base}/grants/${id}`))).toEqual([200, 404])
    expect(await both((base) => app.fetch(url.replace('/one/', `${base}/`)))).toEqual([200, 410])
    const listed = async (base: string) => await (await app.fetch(`${base}/grants`)).text()
    expect(await listed('/one')).toContain(id)
    expect(await listed('/other')).not.toContain(id)
    expect((await app.fetch(`/other/grants/${id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await app.fetch(url)).status).toBe(200)
  })

  // @threat instance-confused
  it("refuse each other's drop boxes, and don't list them", async () => {
    const { id, url } = await createBox({}, app, {}, '/one')
    expect(await both((base) => app.fetch(`${base}/drop-boxes/${id}`))).toEqual([200, 404])
    expect(await both((base) => app.fetch(url.replace('/one/', `${base}/`)))).toEqual([200, 410])
    const listed = async (base: string) => await (await app.fetch(`${base}/drop-boxes`)).text()
    expect(await listed('/one')).toContain(id)
    expect(await listed('/other')).not.toContain(id)
  })
})

it("instances with the same name accept each other's links", async () => {
  const app = twoInstances('media', 'media')
  const key = await upload(app, '/one')
  const { link } = await jsonOf<{ link: string }>(await app.post(`/one/files/${key}/link`, {}))
  expect((await app.fetch(link.replace('/one/', '/other/'))).status).toBe(200)
})

describe('two instances', () => {
  it('read through their own entrypoint, or through none', async () => {
    const entrypoint = (name: string) => ({
      fetch: async () =>
        new Response(`from ${name}`, { headers: { ETag: '"e"', 'Content-Type': 'image/png' } }),
      purge: async () => null,
    })
    const host = new Hono()
    const index = memoryFileIndex()
    host.route('/one', presigner('one', index, 'One').app)
    host.route('/other', presigner('other', index, 'Other').app)
    host.route('/third', presigner('third', index, 'Third').app)
    const app = clientOf({
      fetch(request, env, context) {
        const exports = { One: entrypoint('One'), Other: entrypoint('Other') }
        return host.fetch(request, env, Object.assign(context ?? {}, { exports }) as never)
      },
    })
    const key = await upload(app, '/one', 'from the bucket')
    const bodies: Record<string, unknown> = {}
    for (const base of ['/one', '/other', '/third']) {
      const { link } = await jsonOf<{ link: string }>(
        await app.post(`${base}/files/${key}/link`, {}),
      )
      const { edgeCache } = await jsonOf(await app.fetch(`${base}/healthz`))
      bodies[base] = [await textOf(await app.fetch(link)), edgeCache]
    }
    expect(bodies).toEqual({
      '/one': ['from One', true],
      '/other': ['from Other', true],
      '/third': ['from the bucket', false],
    })
  })

  it('use their own index', async () => {
    const host = new Hono()
    host.route('/one', presigner('one', memoryFileIndex()).app)
    host.route('/other', presigner('other', memoryFileIndex()).app)
    const app = clientOf(host)
    const key = await upload(app, '/one')
    await app.post('/one/files', { key, name: 'a.png' })
    expect(await jsonOf(await app.fetch('/one/files'))).toMatchObject({ files: [{ key }] })
    expect(await jsonOf(await app.fetch('/other/files'))).toEqual({ files: [] })
  })
})

describe('the class of drop boxes', () => {
  /** Lets a box of "two" look at its bucket, seven minutes after an upload that nobody completed. */
  async function lookOf(...presigners: readonly [Owner, ...Owner[]]) {
    const index = memoryFileIndex()
    const two = presigner('two', index)
    const app = clientOf(new Hono().route('/two', two.app))
    const box = await createBox({}, app, {}, '/two')
    const key = await (await visit(box, {}, app, '/two')).put()
    const lines = captureLog()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 7 * MINUTE })
    await runInDurableObject(stateStub('DropBoxes', `two/${box.id}`), (_, state) => {
      const [first, ...others] = presigners.map((one) =>
        one === 'two' ? two : presigner(one, index),
      )
      if (first === undefined) throw new Error('There is no presigner.')
      return new (dropBoxesObject<object>(first, ...others))(state, {}).alarm()
    })
    vi.useRealTimers()
    return { record: await index.get('files', parseObjectKey(key)), log: JSON.stringify(lines) }
  }
  type Owner = 'one' | 'two'

  it('looks with the presigner whose box it is', async () => {
    expect((await lookOf('one', 'two')).record).toMatchObject({ size: 5 })
  })

  it('touches nothing for a presigner that it does not have, and says so', async () => {
    const { record, log } = await lookOf('one')
    expect(record).toBeNull()
    expect(log).toContain('No presigner of dropBoxesObject() has the name')
  })
})

describe('one instance', () => {
  interface Bindings {
    readonly tenant: string
  }

  it('creates settings and an index once for each environment', async () => {
    const made: string[] = []
    const { app } = createPresigner(
      defineSettings((env: Bindings) => {
        made.push(`settings of ${env.tenant}`)
        return settingsInput({ name: env.tenant })
      }),
      {
        plugins: everyPlugin<Bindings>({
          files: {
            index: (env) => {
              made.push(`index of ${env.tenant}`)
              return memoryFileIndex()
            },
          },
        }),
        authenticate: (c) => ({ ...ANN, id: c.env.tenant }),
        log: () => {},
      },
    )
    const host = new Hono<{ Bindings: Bindings }>().route('/media', app)
    const [a, b] = [{ tenant: 'a' }, { tenant: 'b' }]
    const clients = [a, a, b].map((env) => clientOf(host, env))
    for (const client of clients) expect((await client.fetch('/media/files')).status).toBe(200)
    expect(made).toEqual(['settings of a', 'index of a', 'settings of b', 'index of b'])
  })

  it('takes values instead of functions, for hosts with an environment for each request', async () => {
    const sent: unknown[] = []
    const counted: string[] = []
    const limit = async ({ key }: { key: string }) => {
      counted.push(key)
      return { success: true }
    }
    const { app } = createPresigner(defineSettings(settingsInput()), {
      plugins: everyPlugin({
        files: { index: memoryFileIndex() },
        events: {
          webhooks: [{ url: 'https://hooks.example/', secret: `whsec_${btoa('0'.repeat(32))}` }],
          queue: { sendBatch: async (messages) => void sent.push(...messages) },
        },
      }),
      rateLimiter: { limit },
      authenticate: () => ANN,
      log: () => {},
    })
    const host = new Hono().route('/media', app)
    // As on Node: each request has its own environment.
    const client = (): Omit<Mounted, 'lines'> => clientOf(host, { incoming: {} })
    const key = await upload(client(), '/media')
    expect((await client().post('/media/files', { key, name: 'a.png' })).status).toBe(201)
    expect(await jsonOf(await client().fetch('/media/files'))).toMatchObject({ files: [{ key }] })
    expect(sent).toHaveLength(1)
    expect(counted).toEqual(['principal app:ann', 'principal app:ann', 'principal app:ann'])
  })

  it('works without an index, and answers not_supported for a list', async () => {
    const settings = defineSettings(() => settingsInput())
    const { app } = createPresigner(settings, {
      plugins: everyPlugin(),
      authenticate: () => ANN,
      log: () => {},
    })
    const client = clientOf(new Hono().route('/media', app))
    const key = await upload(client, '/media')
    expect((await client.post('/media/files', { key, name: 'a.png' })).status).toBe(201)
    const list = await client.fetch('/media/files')
    expect(list.status).toBe(501)
    expect(await jsonOf(list)).toMatchObject({ code: 'not_supported' })
  })

  it('reads invalid settings again until they are valid', async () => {
    let isReady = false
    const { app } = createPresigner(
      defineSettings(() => {
        if (!isReady) throw new Error('not yet')
        return settingsInput()
      }),
      { log: () => {} },
    )
    const client = clientOf(new Hono().route('/media', app))
    expect((await client.fetch('/media/healthz')).status).toBe(503)
    isReady = true
    expect((await client.fetch('/media/healthz')).status).toBe(200)
  })
})
