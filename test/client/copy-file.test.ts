import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { copyFile } from '../../client/src/copy-file.ts'
import type { ErrorCode } from '../../client/src/error-code.ts'
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
  const file = { from: 'a', to: 'b', bucket: undefined }
  const moved = copyFile(
    async (check, method, path, { body }) => {
      expect([method, path, body]).toEqual(['POST', '/files/move', file])
      const [code, retryAfter] = refusals[sent.length] ?? []
      sent.push((Date.now() - start) / 1000)
      if (code !== undefined) throw new PresignerError(code, 'No.', { status: 503, retryAfter })
      if (check(RECORD)) return RECORD
      throw new Error('It expects no record.')
    },
    'move',
    file,
  ).catch((error: unknown) => (error instanceof PresignerError ? error.code : error))
  await vi.runAllTimersAsync()
  return [await moved, sent]
}

it('waits as long as the API says while a key is busy', async () => {
  const [record, sent] = await move(['storage_busy', 1], ['storage_busy', 2])
  expect(record).toEqual(RECORD)
  expect(sent).toEqual([0, 1, 3])
})

it('gives up after some tries, if it would have to wait long, and after other errors', async () => {
  const [code, sent] = await move(...Array.from({ length: 9 }, () => ['storage_busy', 5] as const))
  expect(code).toBe('storage_busy')
  expect(sent).toHaveLength(8)
  for (const refusal of [
    ['storage_busy', 61],
    ['storage_busy'],
    ['storage_error', 1],
    ['object_exists'],
  ] as const)
    expect(await move(refusal)).toEqual([refusal[0], [0]])
})
