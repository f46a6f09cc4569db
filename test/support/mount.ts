import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { type ExecutionContext, Hono } from 'hono'
import { inject } from 'vitest'
import { memoryFileIndex } from '../../src/file-index/memory-file-index.ts'
import {
  createPresigner,
  defineSettings,
  type LogLine,
  type Presigner,
  type PresignerOptions,
  type SettingsInput,
} from '../../src/index.ts'
import './provided-context.ts'

/** The settings of an app with one bucket, "files" in the shared s3rver, changed by `changes`. */
export const settingsInput = (changes: Partial<SettingsInput> = {}): SettingsInput => ({
  buckets: {
    files: {
      endpoint: inject('s3Endpoint'),
      region: 'us-east-1',
      bucket: 'files',
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    },
  },
  signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
  ...changes,
})

/** A principal that may do everything to every key. */
export const ANN = {
  id: 'ann',
  scopes: [
    'files:upload',
    'files:read',
    'files:list',
    'files:delete',
    'links:create',
    'tokens:create',
  ],
  prefix: '',
} as const

/** A host as far as these tests go: Hono's own types differ between its builds. */
export interface TestHost {
  route(path: string, app: Presigner['app']): unknown
  fetch(request: Request, env?: object, context?: ExecutionContext): Response | Promise<Response>
}

/** An app with a presigner in it. */
export interface Mounted {
  /** Lines that the presigner has logged. */
  readonly lines: LogLine[]
  /** `path` is relative to the app's origin; a whole URL is taken as it is. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** POSTs `body` as JSON. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>
}

export const ORIGIN = 'https://app.example'

interface MountOptions extends PresignerOptions {
  readonly settings?: Partial<SettingsInput>
  readonly host?: TestHost
  readonly path?: string
}

/**
 * Mounts a presigner at `path`, "/media" unless given, in `host`, where everyone is Ann unless
 * `authenticate` is given.
 */
export function mount({
  settings,
  host = new Hono(),
  path = '/media',
  ...options
}: MountOptions = {}): Mounted {
  const lines: LogLine[] = []
  const index = memoryFileIndex()
  const presigner = createPresigner(
    defineSettings(() => settingsInput(settings)),
    {
      fileIndex: () => index,
      authenticate: () => ANN,
      log: (line) => void lines.push(line),
      ...options,
    },
  )
  host.route(path, presigner.app)
  return { lines, ...clientOf(host) }
}

/** Asks `host` as a client does. */
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
      return this.fetch(path, { ...init, method: 'POST', headers, body: JSON.stringify(body) })
    },
  }
}

/** The JSON of an answer, whatever it holds. */
export const jsonOf = async <T = Record<string, unknown>>(response: Response): Promise<T> =>
  response.json<T>()

/** Uploads `body` through the presigner at `base`, and gives the new key. */
export async function upload(
  app: Pick<Mounted, 'post'>,
  base: string,
  body: BodyInit = 'pixels',
  file: object = { fileName: 'cat.png', mimetype: 'image/png' },
): Promise<string> {
  const response = await app.post(`${base}/files/upload-url`, file)
  if (response.status !== 200) throw new Error(`No URL: ${await response.text()}`)
  const { key, uploadUrl, headers } = await jsonOf<{
    key: string
    uploadUrl: string
    headers: Record<string, string>
  }>(response)
  const put = await fetch(uploadUrl, { method: 'PUT', headers, body })
  if (put.status !== 200) throw new Error(`Not uploaded: ${await put.text()}`)
  return key
}
