import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { inject } from 'vitest'
import { presigner } from '../../examples/everything/src/presigner.ts'
import './provided-context.ts'

/** A Worker with its own variables, the real local KV, and the shared s3rver. */
export interface TestWorker {
  /** `path` is relative to the Worker's origin. A whole URL stays unchanged. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** POSTs `body` as JSON. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>
}

/**
 * Returns the variables of the Worker under test: OPEN_ACCESS for localhost, and the bucket "files"
 * in s3rver.
 */
export const baseVariables = () => ({
  FILE_INDEX: env.FILE_INDEX,
  RATE_LIMITER: env.RATE_LIMITER,
  BUCKETS: { files: s3rverBucket() } as Record<string, Record<string, unknown>>,
  S3_ACCESS_KEY_ID: 'S3RVER',
  S3_SECRET_ACCESS_KEY: 'S3RVER',
  SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
  OPEN_ACCESS: 'localhost',
})

/** Returns the table of an existing bucket in the shared s3rver. */
export const s3rverBucket = (): Record<string, unknown> => ({
  endpoint: inject('s3Endpoint'),
  region: 'us-east-1',
  bucket: 'files',
  addressing: 'path',
  credentials: 'S3',
})

/**
 * A rate limit that allows everything. The real one counts by the clock's minute, and takes longer
 * than the rest of most requests. test/http/rate-limit.test.ts uses the real one.
 */
const unlimited = { limit: async () => ({ success: true }) }

/**
 * Returns a Worker with the variables of vitest.config.ts, changed by `variables`. The value
 * undefined removes a variable.
 */
export function testWorker(
  variables: Readonly<Record<string, unknown>> = {},
  origin = 'http://localhost:8787',
): TestWorker {
  const workerEnv = { ...env, RATE_LIMITER: unlimited, ...variables }
  return {
    async fetch(path, init) {
      const context = createExecutionContext()
      const request = new Request(new URL(path, origin), init)
      const response = await presigner.fetch(request, workerEnv as unknown as Env, context)
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
