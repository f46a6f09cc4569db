import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, expectTypeOf, it } from 'vitest'
import type { FileEvent } from '../../src/index.ts'
import type { Plugin } from '../../src/plugin.ts'
import type { PluginUse } from '../../src/settings/rules.ts'
import { loadEnvironment, PLUGIN_RULES } from '../../src/worker/environment.ts'
import {
  apiKeys,
  createWorker,
  events,
  files,
  images,
  jwt,
  links,
  notifications,
  tokens,
  upkeep,
  type WorkerEnv,
} from '../../src/worker/index.ts'
import { TOML, variableRules } from '../../src/worker/variables.ts'
import { environmentSettings } from '../support/environment-settings.ts'
import { credentials, everyPlugin } from '../support/every-plugin.ts'
import { baseVariables } from '../support/worker.ts'

type Worker = ReturnType<typeof createWorker<WorkerEnv>>

interface Signed {
  readonly uploadUrl: string
  readonly headers: Record<string, string>
  readonly key: string
}

/** The bindings of the test, with `changed`. */
const variables = (changed: object = {}): WorkerEnv => ({ ...env, ...baseVariables(), ...changed })

async function send(worker: Worker, path: string, given: WorkerEnv, body?: object) {
  const context = createExecutionContext()
  const init = body && { method: 'POST', body: JSON.stringify(body) }
  const request = new Request(`http://localhost:8787${path}`, {
    headers: { 'Content-Type': 'application/json' },
    ...init,
  })
  const response = await worker.handler.fetch(request, given, context)
  await waitOnExecutionContext(context)
  return response
}

const issuesOf = async (worker: Worker, given: WorkerEnv) =>
  ((await (await send(worker, '/healthz', given)).json()) as { issues?: unknown }).issues

describe('a Worker with some plugins', () => {
  it('needs only the bindings of its plugins', async () => {
    const given = variables({ FILE_INDEX: undefined })
    const small = createWorker({ plugins: [tokens(), links({ images: images() }), apiKeys()] })
    expect((await send(small, '/healthz', given)).status).toBe(200)
    const missing = {
      path: 'FILE_INDEX',
      message:
        'must be bound to a KV namespace, or FILES_DB to a D1 database. Add a [[kv_namespaces]] block with this name to wrangler.toml.',
    }
    expect(await issuesOf(createWorker({ plugins: [files()] }), given)).toEqual([missing])
  })

  it.each([
    ['API_KEYS', 'apiKeys', [{}]],
    ['JWT', 'jwt', { issuer: 'https://a.example' }],
    ['IMAGE_WIDTHS', 'images', [100]],
    ['NOTIFICATION_SECRETS', 'notifications', 'x'],
    ['WEBHOOKS', 'events', [{ url: 'https://a.example' }]],
    ['UPKEEP', 'upkeep', { mode: 'record' }],
  ])('warns of a variable of a plugin that is not listed: %s', async (name, plugin, value) => {
    const worker = createWorker({ plugins: [files()] })
    for (const given of [value, typeof value === 'string' ? value : JSON.stringify(value)]) {
      const health = await send(worker, '/healthz', variables({ [name]: given }))
      expect(await health.json()).toMatchObject({
        status: 'ok',
        warnings: [`plugin missing: ${name} needs ${plugin}()`],
      })
      expect((await send(worker, '/files', variables({ [name]: given }))).status).toBe(200)
    }
  })

  it('reports an invalid variable under its name, in the terms of wrangler.toml', async () => {
    const worker = createWorker({
      plugins: [
        ...[apiKeys(), jwt(), links({ images: images() }), notifications()],
        ...[events(), upkeep(), files()],
      ],
    })
    const others = { JWT: 1, IMAGE_WIDTHS: {}, NOTIFICATION_SECRETS: 'short', WEBHOOKS: {} }
    const given = variables({ API_KEYS: 'x', ...others, UPKEEP: 'x' })
    const issues = await issuesOf(worker, given)
    expect(issues).toEqual([
      { path: 'API_KEYS', message: 'must be a list, or JSON text' },
      { path: 'JWT', message: expect.stringMatching(/^must be a table with /) },
      { path: 'IMAGE_WIDTHS', message: 'must be a list' },
      { path: 'NOTIFICATION_SECRETS', message: expect.stringContaining('one or two secrets') },
      { path: 'WEBHOOKS', message: 'must be a list' },
      { path: 'UPKEEP', message: expect.stringMatching(/^must be a table with .*, or JSON text$/) },
    ])
    const loaded = loadEnvironment(given)
    expect(loaded.ok ? [] : loaded.issues, 'what doctor says').toEqual(issues)
  })

  it('knows which plugin reads which variable, as doctor does', () => {
    const read = new Map<string, string>()
    for (const plugin of [...credentials(), ...everyPlugin()])
      plugin.setup?.(
        {
          ...{ env: {}, id: {}, settings: null, appMilliseconds: 0 },
          ...{ issue: () => undefined, warn: () => undefined, only: () => undefined },
          bind: () => null,
          read(path, _given, _rule, variable) {
            if (variable !== undefined) read.set(variable, path.replace(/\..*/, ''))
            return null
          },
        },
        {} as never,
      )
    expect(Object.keys(PLUGIN_RULES).toSorted()).toEqual([...read.keys()].toSorted())
    const rules = Object.entries(variableRules({}))
    for (const [variable, plugin] of read) {
      const uses: PluginUse[] = []
      const [, rule] = rules.find(([name]) => name === variable) ?? []
      rule?.('x', { path: variable, issues: [], words: TOML, uses })
      expect(uses).toEqual([{ path: variable, plugin }])
    }
  })

  it('reports the unknown bucket of a credential, as doctor does', async () => {
    const API_KEYS = [
      { id: 'a', sha256: 'a'.repeat(64), scopes: ['files:read'], prefix: '', buckets: ['other'] },
    ]
    const given = variables({ API_KEYS })
    const issues = await issuesOf(createWorker({ plugins: [apiKeys()] }), given)
    expect(issues).toMatchObject([{ path: 'API_KEYS.0.buckets.0' }])
    expect(() => environmentSettings(given)).toThrow('API_KEYS.0.buckets.0')
  })
})

describe('the hooks of a Worker', () => {
  it('get the whole environment, and change an upload', async () => {
    interface OwnEnv extends WorkerEnv {
      readonly FOLDER: string
    }
    const told: [string, FileEvent['type']][] = []
    const worker = createWorker<OwnEnv>({
      plugins: [
        files(),
        events({
          onEvent({ type }, { env }) {
            expectTypeOf(env).toEqualTypeOf<OwnEnv>()
            told.push([env.FOLDER, type])
          },
        }),
      ],
      beforeUpload: (_file, _principal, c) => ({ metadata: { folder: c.env.FOLDER } }),
    })
    const given = { ...variables(), FOLDER: 'own' }
    const answer = async (path: string, body: object) =>
      (await (await send(worker as never, path, given, body)).json()) as Signed
    const { uploadUrl, headers, key } = await answer('/files/upload-url', {
      fileName: 'x.txt',
      mimetype: 'text/plain',
    })
    expect(headers).toMatchObject({ 'x-amz-meta-folder': 'own' })
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body: 'x' })).status).toBe(200)
    await answer('/files', { key })
    expect(told).toEqual([['own', 'recorded']])
  })
})

it('runs what plugins do at the times of Cron Triggers', async () => {
  const crons: string[] = []
  const nightly: Plugin<WorkerEnv> = {
    name: 'nightly',
    setup: () => ({
      async scheduled({ cron }) {
        crons.push(cron)
      },
    }),
  }
  const { handler } = createWorker({ plugins: [nightly] })
  const event = { scheduledTime: 0, cron: '17 3 * * *' }
  await handler.scheduled(event, variables(), createExecutionContext())
  expect(crons).toEqual(['17 3 * * *'])
})

it('serves the page, and acknowledges jobs of its queue', async () => {
  const { handler } = createWorker({ plugins: [events()] })
  const ASSETS = { fetch: async () => new Response('page') }
  const worker = { handler } as Worker
  expect(await (await send(worker, '/', variables({ ASSETS }))).text()).toBe('page')
  expect((await send(worker, '/', variables({ ASSETS: undefined }))).status).toBe(404)
  const acknowledged: string[] = []
  const message = {
    body: { version: 1, kind: 'purge', bucket: 'files', keys: [] },
    attempts: 1,
    ack: () => acknowledged.push('ack'),
    retry: () => acknowledged.push('retry'),
  }
  const batch = { queue: 'edge-presigner-jobs', messages: [message] }
  await handler.queue(batch, variables(), createExecutionContext())
  expect(acknowledged).toEqual(['ack'])
  expectTypeOf(handler).toExtend<ExportedHandler<Env>>()
})

// @threat dead-letter-lost
it('keeps the messages of a queue that none of its plugins handles, such as of dead letters', async () => {
  const { handler } = createWorker({ plugins: [events()] })
  const batch = { queue: 'edge-presigner-jobs-dead', messages: [] }
  const handled = handler.queue(batch, variables(), createExecutionContext())
  await expect(handled).rejects.toThrow('No plugin handles the queue edge-presigner-jobs-dead.')
})
