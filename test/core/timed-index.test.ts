import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { RequestTime } from '../../src/errors/deadline.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { type FileIndex, timedIndex } from '../../src/records/file-index.ts'
import { declareFileIndexContract } from '../plugins/files/contract.ts'
import { testRecord } from '../plugins/files/records.ts'

const record = testRecord('a')
const hang = () => new Promise<never>(() => {})
const hanging: FileIndex = { get: hang, put: hang, remove: hang, list: hang }

const operations = (index: FileIndex) => [
  () => index.get('files', record.key),
  () => index.put(record),
  () => index.remove('files', record.key),
  () => index.list({ bucket: 'files', prefix: '', limit: 1 }),
]

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

declareFileIndexContract(() => timedIndex(memoryFileIndex(), new Date()))

// @threat index-hangs
it('ends every operation that hangs with index_unavailable after ten seconds', async () => {
  for (const operate of operations(timedIndex(hanging, new Date()))) {
    let ended = false
    const operation = operate().finally(() => {
      ended = true
    })
    const refused = expect(operation).rejects.toMatchObject({
      code: 'index_unavailable',
      cause: expect.objectContaining({ message: expect.stringContaining('10 seconds') }),
    })
    await vi.advanceTimersByTimeAsync(9999)
    expect(ended).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await refused
  }
})

// @threat request-slow
it('ends every operation at the deadline of the request, and starts none after it', async () => {
  const index = { ...hanging, get: vi.fn(hang) }
  const timed = timedIndex(index, new RequestTime(Date.now() + 4000))
  const refused = operations(timed).map((operate) =>
    expect(operate()).rejects.toMatchObject({ code: 'storage_busy', retryAfterSeconds: 5 }),
  )
  await vi.advanceTimersByTimeAsync(4000)
  await Promise.all(refused)
  await expect(timed.get('files', record.key)).rejects.toMatchObject({ code: 'storage_busy' })
  expect(index.get).toHaveBeenCalledTimes(1)
})

it('leaves no timer behind', async () => {
  for (const operate of operations(timedIndex(memoryFileIndex(), new Date()))) await operate()
  expect(vi.getTimerCount()).toBe(0)
})
