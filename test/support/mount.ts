import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { type ExecutionContext, Hono } from 'hono'
import {
  createPresigner,
  defineSettings,
  type LogLine,
  type Presigner,
  type PresignerOptions,
} from '../../src/index.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { ANN } from './ann.ts'
import { ORIGIN, type SettingsChanges, settingsInput } from './app.ts'
import { credentials, everyPlugin, type PluginOptions } from './every-plugin.ts'

/** A host app for these tests. Hono's own types differ between its builds. */
export interface TestHost {
  route(path: string, app: Presigner['app']): unknown
  fetch(request: Request, env?: object, context?: ExecutionContext): Response | Promise<Response>
}

/** An app with a presigner. */
export interface Mounted {
  /** Lines that the presigner has logged. */
  readonly lines: LogLine[]
  /** `path` is relative to the app's origin. A whole URL stays unchanged. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** POSTs `body` as JSON. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>
}

export interface MountOptions extends PresignerOptions, PluginOptions {
  readonly settings?: SettingsChanges
  readonly host?: TestHost
  readonly path?: string
}

/**
 * Mounts a presigner at `path`, by default "/media", in `host`. Without `authenticate`, everyone is
 * Ann.
 */
export function mount({
  settings,
  host = new Hono(),
  path = '/media',
  files = { index: memoryFileIndex() },
  events,
  copies,
  userData,
  links,
  images,
  notifications,
  apiKeys,
  jwt,
  ...options
}: MountOptions = {}): Mounted {
  const lines: LogLine[] = []
  const { authenticate = 'authenticate' in options ? undefined : () => ANN } = options
  const plugins = [
    ...everyPlugin({
      files,
      ...(events && { events }),
      ...(copies && { copies }),
      ...(userData && { userData }),
      ...(links && { links }),
      ...(images && { images }),
      ...(notifications && { notifications }),
    }),
    ...(authenticate ? [] : credentials({ ...(apiKeys && { apiKeys }), ...(jwt && { jwt }) })),
  ]
  const presigner = createPresigner(
    defineSettings(() => settingsInput(settings)),
    {
      plugins,
      authenticate: () => ANN,
      log: (line) => void lines.push(line),
      ...options,
    },
  )
  host.route(path, presigner.app)
  return { lines, ...clientOf(host) }
}

/** Sends requests to `host` as a client does. */
export function clientOf(host: Pick<TestHost, 'fetch'>, env: object = {}): Omit<Mounted, 'lines'> {
  return {
    async fetch(path, init) {
      const context = createExecutionContext()
      const response = await host.fetch(new Request(new URL(path, ORIGIN), init), env, context)
      await waitOnExecutionContext(context)
      return response
    },
    post(path, body, init = {}) {
      const headers = new Headers(init.headers)
      headers.set('Content-Type', 'application/json')
      return this.fetch(path, { method: 'POST', ...init, headers, body: JSON.stringify(body) })
    },
  }
}
