import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect } from 'vitest'
import { presigner } from '../../src/worker/presigner.ts'
import { jsonOf } from './app.ts'
import { putChosen } from './links.ts'
import { type TestWorker, testWorker } from './worker.ts'

/** A grant as the API has it. */
export interface Grant {
  readonly id: string
  readonly url: string
  readonly bucket: string
  readonly key: string
  readonly name: string
  readonly size: number
  readonly label: string | null
  readonly uses: number | null
  readonly usesLeft: number | null
  readonly deadline: string
  readonly hasPassword: boolean
  readonly direct: boolean
  readonly download: string | null
  readonly restrictions: object | null
  readonly createdAt: string
  readonly lastUsedAt: string | null
}

const worker: TestWorker = testWorker()

export const HOUR = 3_600_000

/** Returns a time from now as the API writes it. */
export const inFuture = (milliseconds = HOUR): string =>
  new Date(Date.now() + milliseconds).toISOString()

/** Creates a grant for a new object, or for the key in `body`. */
export async function grantFor(
  body: object = {},
  by: Pick<TestWorker, 'post'> = worker,
  init: RequestInit = {},
  base = '',
): Promise<Grant> {
  const key =
    'key' in body ? {} : { key: await putChosen('report.pdf', 'a report', 'application/pdf') }
  const sent = { deadline: inFuture(), ...key, ...body }
  const response = await by.post(`${base}/grants`, sent, init)
  const text = await response.text()
  expect(response.status, text).toBe(201)
  return JSON.parse(text)
}

/** How a visitor sends a form. */
export interface Visit {
  readonly password?: string
  readonly ip?: string
  readonly country?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Returns the POST that the form of a grant's page sends. */
export function submission({ password, ip, country, headers }: Visit = {}): RequestInit {
  const cf = country === undefined ? {} : { cf: { country } as CfProperties }
  return {
    method: 'POST',
    redirect: 'manual',
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded',
      ...(ip !== undefined && { 'CF-Connecting-IP': ip }),
      ...headers,
    },
    body: new URLSearchParams(password === undefined ? {} : { password }).toString(),
    ...cf,
  }
}

/** Sends the form of a grant's page. */
export const submit = (
  url: string,
  visit: Visit = {},
  by: Pick<TestWorker, 'fetch'> = worker,
): Promise<Response> => by.fetch(url, submission(visit))

/** Returns the status, with the code of an error in JSON. */
export async function outcome(response: Response): Promise<string> {
  const text = await response.text()
  if (!/json/.test(response.headers.get('Content-Type') ?? '')) return `${response.status}`
  const { code } = JSON.parse(text)
  return code === undefined ? `${response.status}` : `${response.status} ${code}`
}

/** Returns the grant as its creator sees it now. */
export const currently = async (
  { id }: Pick<Grant, 'id'>,
  by: Pick<TestWorker, 'fetch'> = worker,
  init: RequestInit = {},
): Promise<Grant> => jsonOf<Grant>(await by.fetch(`/grants/${id}`, init))

/** Returns a Worker whose class of grants is `Grants`: an object with `getByName`. */
export const workerWith = (
  Grants: { getByName(name: string, options?: object): object },
  variables: object = {},
): Pick<TestWorker, 'fetch' | 'post'> => ({
  async fetch(path, init) {
    const context = createExecutionContext()
    const given = Reflect.get(context, 'exports') as object
    // The Worker's other exports stay.
    const exports = new Proxy(given, {
      get: (target, name) => (name === 'Grants' ? Grants : Reflect.get(target, name)),
    })
    const own = new Proxy(context, {
      get: (target, name) => {
        if (name === 'exports') return exports
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const request = new Request(new URL(path, 'http://localhost:8787'), init)
    const unlimited = { RATE_LIMITER: { limit: async () => ({ success: true }) } }
    const given_ = { ...env, ...unlimited, ...variables } as unknown as Env
    const response = await presigner.fetch(request, given_, own)
    await waitOnExecutionContext(context)
    return response
  },
  post(path, body, init = {}) {
    const headers = new Headers(init.headers)
    headers.set('Content-Type', 'application/json')
    return this.fetch(path, { method: 'POST', ...init, headers, body: JSON.stringify(body) })
  },
})
