import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { expect } from 'vitest'
import { presigner } from '../../examples/everything/src/presigner.ts'
import { jsonOf } from './app.ts'
import { inWords } from './errors.ts'
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
  readonly wrongPasswords: number
  readonly direct: boolean
  readonly download: string | null
  readonly restrictions: object | null
  readonly createdAt: string
  readonly lastUsedAt: string | null
}

/** What creates grants: a Worker, or an app with a presigner. */
export type Creator = Pick<TestWorker, 'fetch' | 'post'>

const worker: TestWorker = testWorker()

/** Returns a time from now as the API writes it. */
export const inFuture = (milliseconds = 3_600_000): string =>
  new Date(Date.now() + milliseconds).toISOString()

/** Creates a grant for a new object, or for the key in `body`. */
export async function grantFor(
  body: object = {},
  by: Creator = worker,
  init: RequestInit = {},
  base = '',
): Promise<Grant> {
  const key = 'key' in body ? {} : { key: await putReport() }
  const sent = { deadline: inFuture(), ...key, ...body }
  const response = await by.post(`${base}/grants`, sent, init)
  const text = await response.text()
  expect(response.status, text).toBe(201)
  return JSON.parse(text)
}

/** Puts a file of eight bytes into the bucket, and returns its key. */
export const putReport = (): Promise<string> =>
  putChosen('report.pdf', 'a report', 'application/pdf')

/** How a visitor sends a form, and from where. */
export interface Visit {
  readonly password?: string
  /** Which page it is. */
  readonly page?: string
  readonly ip?: string
  readonly country?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends the form of a grant's page. */
export function submit(
  url: string,
  { password, page, ip, country, headers }: Visit = {},
  to: Pick<Creator, 'fetch'> = worker,
): Promise<Response> {
  const cf = country === undefined ? {} : { cf: { country } as CfProperties }
  return to.fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded',
      ...(ip !== undefined && { 'CF-Connecting-IP': ip }),
      ...headers,
    },
    body: new URLSearchParams({
      ...(password !== undefined && { password }),
      ...(page !== undefined && { page }),
    }).toString(),
    ...cf,
  })
}

/** Opens a URL without following redirects. */
export const visit = (
  url: string,
  init: RequestInit = {},
  to: Pick<Creator, 'fetch'> = worker,
): Promise<Response> => to.fetch(url, { redirect: 'manual', ...init })

/** Returns the status, with the code of an error in JSON. */
export async function outcome(answer: Response | Promise<Response>): Promise<string> {
  const response = await answer
  const text = await response.text()
  if (!/json/.test(response.headers.get('Content-Type') ?? '')) return `${response.status}`
  const body = JSON.parse(text)
  return body.code === undefined ? `${response.status}` : `${response.status} ${inWords(body)}`
}

/** Returns the grant as its creator sees it now. */
export const currently = async (
  { id }: Pick<Grant, 'id'>,
  by: Pick<Creator, 'fetch'> = worker,
  init: RequestInit = {},
  base = '',
): Promise<Grant> => jsonOf<Grant>(await by.fetch(`${base}/grants/${id}`, init))

/** A call of a method of an object. `call` is the real one. */
interface ObjectCall {
  readonly name: string
  readonly method: string
  call(): Promise<unknown>
}

type Stub = Readonly<Record<string, (...given: unknown[]) => Promise<unknown>>>
type Namespace = { getByName(name: string, options?: object): object }

/**
 * Returns a Worker whose calls of the real objects of grants go through `intercept`. `hints` gets the
 * location hint of each object that it asks for.
 */
export function workerWith(
  intercept: (call: ObjectCall) => unknown,
  hints: unknown[] = [],
): Creator {
  const real = Reflect.get(exports, 'Grants') as unknown as Namespace
  const Grants: Namespace = {
    getByName(name, options) {
      hints.push(Reflect.get(Object(options), 'locationHint'))
      const stub = real.getByName(name, options) as Stub
      const call =
        (method: string) =>
        async (...given: unknown[]) =>
          intercept({ name, method, call: () => stub[method]?.(...given) ?? Promise.reject() })
      return new Proxy({}, { get: (_, method) => call(String(method)) })
    },
  }
  const unlimited = { limit: async () => ({ success: true }) }
  return {
    async fetch(path, init) {
      const real = createExecutionContext()
      const context = {
        waitUntil: (work: Promise<unknown>) => real.waitUntil(work),
        passThroughOnException: () => {},
        props: {},
        exports: {
          Objects: Reflect.get(exports, 'Objects'),
          DropBoxes: Reflect.get(exports, 'DropBoxes'),
          Grants,
        },
      } as unknown as ExecutionContext
      const request = new Request(new URL(path, 'http://localhost:8787'), init)
      const workerEnv = { ...env, RATE_LIMITER: unlimited } as unknown as Env
      const response = await presigner.fetch(request, workerEnv, context)
      await waitOnExecutionContext(real)
      return response
    },
    post(path, body, init = {}) {
      const headers = new Headers(init.headers)
      headers.set('Content-Type', 'application/json')
      return this.fetch(path, { method: 'POST', ...init, headers, body: JSON.stringify(body) })
    },
  }
}
