import { expect, it, vi } from 'vitest'
import type { Call } from '../../client/src/call.ts'
import { PresignerError } from '../../client/src/presigner-error.ts'
import { deleteAll } from '../../client/src/server/delete-all.ts'
import { createServerClient } from '../../client/src/server.ts'

const answer = (members: object = {}) => ({
  ...{ shares: 1, deleted: 1, versions: 2, uploads: 3, records: 4, unreadable: 0, failures: [] },
  ...{ repeatAfter: '2026-12-07T01:20:00.000Z', ...members },
})
const failed = (key: string, code: string) => ({ key, error: { code, message: 'No.' } })

/** An API that answers each request in turn. */
function scripted(answers: readonly object[]) {
  const bodies: object[] = []
  const api: Call = async (check, _method, _path, { body = {} } = {}) => {
    bodies.push(body)
    const next: unknown = answers[bodies.length - 1]
    if (check(next)) return next
    throw new PresignerError('bad_answer', 'No.')
  }
  return { api, bodies }
}

const request = { prefix: 'a/', before: '2026-11-28T12:00:00Z' }

it('repeats the request with its cursor, and sums up', async () => {
  const { api, bodies } = scripted([answer({ cursor: 'one' }), answer()])
  const progress = vi.fn()
  const result = await deleteAll(api, 'files', { ...request, onProgress: progress })
  expect(result).toMatchObject({
    shares: 2,
    deleted: 2,
    versions: 4,
    uploads: 6,
    records: 8,
    failures: [],
  })
  const body = { prefix: 'a/', before: '2026-11-28T12:00:00.000Z', bucket: 'files' }
  expect(bodies).toEqual([body, { ...body, cursor: 'one' }])
  expect(progress.mock.calls.map(([{ deleted }]) => deleted)).toEqual([1, 2])
})

it('keeps that the bucket can not list something', async () => {
  const { api } = scripted([answer({ cursor: 'one', uploads: null }), answer({ versions: null })])
  expect(await deleteAll(api, undefined, request)).toMatchObject({ uploads: null, versions: null })
})

it('starts again after a temporary error, up to twice', async () => {
  const failures = [failed('a/1', 'unavailable')]
  const healed = scripted([answer({ failures }), answer({ deleted: 0 })])
  expect(await deleteAll(healed.api, undefined, request, 1)).toMatchObject({ failures: [] })
  const lasting = scripted([answer({ failures }), answer({ failures }), answer({ failures })])
  expect(await deleteAll(lasting.api, undefined, request, 1)).toMatchObject({ failures })
  expect(lasting.bodies.length).toBe(3)
})

it('does not repeat what was refused', async () => {
  const { api, bodies } = scripted([answer({ failures: [failed('a/1', 'forbidden')] })])
  expect((await deleteAll(api, undefined, request)).failures.length).toBe(1)
  expect(bodies.length).toBe(1)
})

const clientWith = (send: (url: string, init: RequestInit) => Promise<Response>) =>
  createServerClient({ baseUrl: 'https://files.example.com', apiKey: 'ep_a_b', fetch: send })

it('returns the stream of an export, and throws for a refusal', async () => {
  const urls: string[] = []
  const client = clientWith(async (url) => {
    urls.push(url)
    if (urls.length === 2)
      return Response.json({ code: 'forbidden', message: 'No.', requestId: 'r' }, { status: 403 })
    return new Response('{"records":0}\n')
  })
  const response = await client.exportFiles({ prefix: 'a/', format: 'ndjson' })
  expect(await response.text()).toBe('{"records":0}\n')
  expect(urls).toEqual(['https://files.example.com/export?prefix=a%2F&format=ndjson'])
  await expect(client.exportFiles()).rejects.toMatchObject({ code: 'forbidden', status: 403 })
})

it('ends the stream of an export with the signal', async () => {
  const abort = new AbortController()
  const client = clientWith(async (_, { signal }) => {
    const body = new ReadableStream({
      start: (controller) =>
        signal?.addEventListener('abort', () => controller.error(signal.reason)),
    })
    return new Response(body)
  })
  const response = await client.exportFiles({ signal: abort.signal })
  const text = response.text()
  abort.abort(new Error('enough'))
  await expect(text).rejects.toThrow('enough')
})
