import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Call } from '../../client/src/call.ts'
import { whenFree } from '../../client/src/copy-file.ts'
import type { ErrorCode } from '../../client/src/error-code.ts'
import { fileCalls } from '../../client/src/file-calls.ts'
import { PresignerError } from '../../client/src/presigner-error.ts'

const RECORD = {
  ...{ key: 'b', bucket: 'files', name: 'b', size: 1, mimetype: 'text/plain', etag: '"e"' },
  ...{ owner: 'key:ann', createdAt: '2026-12-01T00:00:00.000Z' },
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/**
 * Moves a file with an API that answers with an error for each of `refusals`, and then with a record. Returns
 * the record, or the code of the error, and at which seconds the requests were sent.
 */
async function move(...refusals: (readonly [code: ErrorCode, retryAfter?: number])[]) {
  const sent: number[] = []
  const start = Date.now()
  const call: Call = async (check, method, path, { body } = {}) => {
    expect([method, path, body]).toEqual(['POST', '/files/move', { from: 'a', to: 'b' }])
    const [code, retryAfter] = refusals[sent.length] ?? []
    sent.push((Date.now() - start) / 1000)
    if (code !== undefined) throw new PresignerError(code, 'No.', { status: 503, retryAfter })
    if (check(RECORD)) return RECORD
    throw new Error('It expects no record.')
  }
  const moved = fileCalls(() => whenFree(call), undefined)
    .move('a', 'b')
    .catch((error: unknown) => (error instanceof PresignerError ? error.code : error))
  await vi.runAllTimersAsync()
  return [await moved, sent]
}

it('does not repeat a move whose source is deleted', async () => {
  const deleted: Call = async () => {
    sent++
    throw new PresignerError('unavailable', 'No.', { status: 503, retryAfter: 1, deleted: true })
  }
  let sent = 0
  const moved = fileCalls(() => whenFree(deleted), undefined).move('a', 'b')
  await expect(moved).rejects.toMatchObject({ deleted: true })
  expect(sent).toBe(1)
})

it('waits as long as the API says while a key is busy', async () => {
  const [record, sent] = await move(['unavailable', 1], ['unavailable', 2])
  expect(record).toEqual(RECORD)
  expect(sent).toEqual([0, 1, 3])
})

it.each(['signal', 'session'])('stops waiting at the end of its %s', async (what) => {
  const stop = new AbortController()
  const busy: Call = async () => {
    throw new PresignerError('unavailable', 'No.', { status: 503, retryAfter: 50 })
  }
  const calls = fileCalls(
    () => whenFree(busy, what === 'session' ? stop.signal : undefined),
    undefined,
  )
  const options = what === 'signal' ? { signal: stop.signal } : {}
  const copied = calls.copy('a', 'b', options)
  const refused = expect(copied).rejects.toThrow('enough')
  await vi.advanceTimersByTimeAsync(1000)
  stop.abort(new Error('enough'))
  await refused
})

it('gives up after some tries, if it would have to wait long, and after other errors', async () => {
  const [code, sent] = await move(...Array.from({ length: 9 }, () => ['unavailable', 5] as const))
  expect(code).toBe('unavailable')
  expect(sent).toHaveLength(8)
  for (const refusal of [
    ['unavailable', 61],
    ['unavailable'],
    ['storage_error', 1],
    ['object_exists'],
  ] as const)
    expect(await move(refusal)).toEqual([refusal[0], [0]])
})
