import { join } from 'node:path'
import { expect, it } from 'vitest'

interface Options {
  readonly signal: AbortSignal
}
interface Sent extends Options {
  readonly name: string
  readonly end: (error?: Error) => Promise<void>
}
interface Upload {
  readonly id: number
  readonly status: string
}
interface Queue {
  add(files: File[]): readonly Upload[]
  pause(id: number): void
  resume(id: number): void
  cancel(id: number): void
  retry(id: number): void
  remove(id: number): void
  getSnapshot(): { readonly uploads: readonly Upload[] }
}

// Imported without types, because their types exclude Node.
const { createUploadQueue } = await import(
  join(import.meta.dirname, '../../client/src/upload-queue.ts')
)

/** A queue that uploads one file at a time, whose uploads end when the test says so. */
function testQueue() {
  const sent: Sent[] = []
  const uploader = {
    upload: ({ name }: File, options: Options) =>
      new Promise<object>((resolve, reject) => {
        const end = async (error?: Error) => {
          if (error) reject(error)
          else resolve({ key: name })
          await new Promise((done) => setTimeout(done))
        }
        sent.push({ ...options, name, end })
        options.signal.addEventListener('abort', () => reject(options.signal.reason))
      }),
  }
  const queue: Queue = createUploadQueue(uploader, { concurrency: 1 })
  const statuses = () => queue.getSnapshot().uploads.map(({ status }) => status)
  const ids = queue.add(['a', 'b'].map((name) => new File(['12'], name))).map(({ id }) => id)
  const [a = 0, b = 0] = ids
  return { queue, sent, statuses, a, b }
}
const turn = () => new Promise((done) => setTimeout(done))

it.each(['cancel', 'remove'] as const)(
  'deletes the parts of a paused file on %s before its next turn',
  async (act) => {
    const { queue, sent, statuses, a } = testQueue()
    queue.pause(a)
    await turn()
    queue.resume(a)
    expect(statuses()).toEqual(['waiting', 'uploading'])
    queue[act](a)
    expect(sent.map(({ name, signal }) => [name, signal.aborted, signal.reason])).toEqual([
      ['a', true, 'pause'],
      ['b', false, undefined],
      // The client deletes the parts of an upload that is canceled after it began.
      ['a', true, expect.any(DOMException)],
    ])
  },
)

it('deletes the parts of a failed file that is canceled before its next turn', async () => {
  const { queue, sent, statuses, a, b } = testQueue()
  await sent[0]?.end(new Error('lost'))
  queue.retry(a)
  expect(statuses()).toEqual(['waiting', 'uploading'])
  queue.cancel(a)
  expect(sent.map(({ name, signal }) => [name, signal.aborted])).toEqual([
    ['a', false],
    ['b', false],
    ['a', true],
  ])
  queue.remove(b)
  expect(sent).toHaveLength(3)
})

it('begins no file only to cancel it', async () => {
  const { queue, sent, statuses, b } = testQueue()
  queue.cancel(b)
  queue.retry(b)
  expect(statuses()).toEqual(['uploading', 'waiting'])
  queue.remove(b)
  expect(sent.map(({ name }) => name)).toEqual(['a'])
})
