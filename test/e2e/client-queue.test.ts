import { join } from 'node:path'
import { expect, it } from 'vitest'

interface Options {
  readonly signal: AbortSignal
  readonly onProgress: (progress: { loaded: number }) => void
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
  configure(client: object, options: object): void
  add(files: File[]): readonly Upload[]
  pause(id?: number): void
  resume(id: number): void
  cancel(id?: number): void
  retry(id?: number): void
  dismiss(id: number): void
  getSnapshot(): { readonly uploads: readonly Upload[]; readonly status: string }
}

// Imported without types, because their types exclude Node.
const CLIENT = join(import.meta.dirname, '../../client/src')
const { createUploadQueue } = await import(join(CLIENT, 'upload-queue.ts'))
const { createTurns } = await import(join(CLIENT, 'turns.ts'))
const { createHandle, PAUSE } = await import(join(CLIENT, 'handle.ts'))

const turn = () => new Promise((done) => setTimeout(done))

/** A client of one user, whose uploads end when the test says so. */
function testClient(user?: string) {
  const over = new AbortController()
  let session = { user, signal: over.signal }
  const logIn = (name: string) => {
    session = { user: name, signal: new AbortController().signal }
  }
  const sent: Sent[] = []
  const client = {
    session: () => session,
    start: (file: File, more: Options) =>
      createHandle((signal: AbortSignal) => upload(file, { ...more, signal }), over.signal),
  }
  const upload = ({ name }: File, options: Options) =>
    new Promise<object>((resolve, reject) => {
      const end = async (error?: Error) => {
        if (error) reject(error)
        else resolve({ key: name })
        await turn()
      }
      sent.push({ ...options, name, end })
      if (options.signal.aborted) reject(options.signal.reason)
      options.signal.addEventListener('abort', () => reject(options.signal.reason))
    })
  return { client, sent, over, logIn }
}

function testQueue(user?: string) {
  const { client, sent, over, logIn } = testClient(user)
  const told: string[] = []
  const options = {
    onUploaded: ({ key }: { key: string }) => told.push(key),
    onError: ({ message }: Error) => told.push(message),
  }
  const queue: Queue = createUploadQueue(client, options)
  const statuses = () => queue.getSnapshot().uploads.map(({ status }) => status)
  const ids = queue.add(['a', 'b'].map((name) => new File(['12'], name))).map(({ id }) => id)
  const [a = 0, b = 0] = ids
  const signals = () => sent.map(({ name, signal }) => [name, signal.aborted && signal.reason])
  return { queue, sent, signals, statuses, told, options, client, over, logIn, a, b }
}
const ABORTED = expect.objectContaining({ name: 'AbortError' })

it('begins all files at once, and shows which of them send bytes', () => {
  const { sent, statuses } = testQueue()
  expect(sent.map(({ name }) => name)).toEqual(['a', 'b'])
  expect(statuses()).toEqual(['waiting', 'waiting'])
  sent[1]?.onProgress({ loaded: 1 })
  expect(statuses()).toEqual(['waiting', 'uploading'])
})

it.each(['cancel', 'dismiss'] as const)('deletes the parts of a paused file on %s', async (act) => {
  const { queue, signals, statuses, told, a } = testQueue()
  queue.pause(a)
  expect(signals()).toEqual([
    ['a', PAUSE],
    ['b', false],
  ])
  queue[act](a)
  await turn()
  // The client deletes the parts of an upload whose signal is aborted.
  expect(signals().slice(2)).toEqual([['a', ABORTED]])
  expect(statuses()).toEqual(act === 'cancel' ? ['canceled', 'waiting'] : ['waiting'])
  expect(told).toEqual([])
})

it('goes on with a paused file, and no other try has a say', async () => {
  const { queue, sent, statuses, told, a } = testQueue()
  queue.pause(a)
  await sent[0]?.end(new Error('late'))
  queue.resume(a)
  expect(statuses()).toEqual(['waiting', 'waiting'])
  expect(sent.map(({ name }) => name)).toEqual(['a', 'b', 'a'])
  await sent[2]?.end()
  expect(statuses()).toEqual(['done', 'waiting'])
  expect(told).toEqual(['a'])
})

it.each(['cancel', 'dismiss'] as const)(
  'deletes the parts of a failed file that is retried, on %s',
  async (act) => {
    const { queue, sent, signals, statuses, a } = testQueue()
    await sent[0]?.end(new Error('lost'))
    queue.retry(a)
    expect(statuses()).toEqual(['waiting', 'waiting'])
    queue[act](a)
    expect(signals()).toEqual([
      ['a', false],
      ['b', false],
      ['a', ABORTED],
    ])
  },
)

it('deletes the parts of a failed file that is dismissed, once', async () => {
  const { queue, sent, signals, statuses, told, a } = testQueue()
  await sent[0]?.end(new Error('lost'))
  expect(told).toEqual(['lost'])
  queue.dismiss(a)
  await turn()
  expect(signals().slice(2)).toEqual([['a', ABORTED]])
  expect(statuses()).toEqual(['waiting'])
})

it('sends nothing more for a file that is done', async () => {
  const { queue, sent, a } = testQueue()
  await sent[0]?.end()
  queue.cancel(a)
  queue.dismiss(a)
  expect(sent).toHaveLength(2)
})

// @threat other-user-in-browser
it('is empty when the session of its user ends, and tells nobody of the files', async () => {
  const { queue, sent, told, over } = testQueue('ann')
  await sent[0]?.end()
  const reason = new Error('The user has logged out.')
  over.abort(reason)
  expect(queue.getSnapshot()).toMatchObject({ uploads: [], status: 'idle' })
  await sent[1]?.end(reason)
  expect(told).toEqual(['a'])
})

// @threat other-user-in-browser
it('shows nothing of one user with the client of another, and keeps the parts', async () => {
  const { queue, signals, statuses, options, client } = testQueue('ann')
  queue.configure(client, options)
  queue.configure(testClient('ann').client, options)
  expect(statuses()).toEqual(['waiting', 'waiting'])
  queue.configure(testClient('bob').client, options)
  expect(statuses()).toEqual([])
  expect(signals()).toEqual([
    ['a', PAUSE],
    ['b', PAUSE],
  ])
})

// @threat other-user-in-browser
it('tries a file of an earlier session no more', async () => {
  const { queue, sent, statuses, logIn, a } = testQueue('ann')
  await sent[0]?.end(new Error('lost'))
  queue.cancel()
  expect(statuses()).toEqual(['failed', 'canceled'])
  logIn('bob')
  queue.retry(a)
  queue.retry()
  for (const { id } of queue.getSnapshot().uploads) queue.retry(id)
  expect(sent).toHaveLength(2)
})

/** Runs files of these sizes in turn, until the test ends them. */
function run(inTurn: ReturnType<typeof createTurns>, ...sizes: number[]) {
  return sizes.map((size) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const stop = new AbortController()
    const file = { isRunning: false, isOver: false, end: resolve, stop }
    const act = async () => {
      file.isRunning = true
      await promise
    }
    inTurn(size, stop.signal, act).then(() => {
      file.isOver = true
    })
    return file
  })
}
const running = (files: ReturnType<typeof run>) => files.map(({ isRunning }) => isRunning)

it('lets a few files begin, in their order, and the next ones when they end', async () => {
  const files = run(createTurns(2), 1, 1, 1, 1)
  await turn()
  expect(running(files)).toEqual([true, true, false, false])
  files[1]?.end()
  await turn()
  expect(running(files)).toEqual([true, true, true, false])
})

it('lets files begin up to their bytes, and one that is larger than all of them', async () => {
  const files = run(createTurns(9, 10), 6, 4, 1, 99, 1)
  await turn()
  expect(running(files)).toEqual([true, true, false, false, false])
  files[0]?.end()
  files[1]?.end()
  await turn()
  expect(running(files)).toEqual([true, true, true, false, false])
  files[2]?.end()
  await turn()
  expect(running(files)).toEqual([true, true, true, true, false])
})

it('runs what is canceled at once, without a turn, so that it deletes what it has', async () => {
  const inTurn = createTurns(1)
  const files = run(inTurn, 1, 1, 1)
  await turn()
  files[1]?.stop.abort()
  await turn()
  expect(running(files)).toEqual([true, true, false])
  files[1]?.end()
  await turn()
  expect(running(files)).toEqual([true, true, false])
  files[0]?.end()
  await turn()
  expect(running(files)).toEqual([true, true, true])
  const canceled = AbortSignal.abort()
  expect(await inTurn(1, canceled, async () => 'cleaned')).toBe('cleaned')
})

it('goes on after a file that fails', async () => {
  const inTurn = createTurns(1)
  const failed = inTurn(1, undefined, async () => {
    throw new Error('lost')
  })
  await expect(failed).rejects.toThrow('lost')
  expect(await inTurn(1, undefined, async () => 'next')).toBe('next')
})
