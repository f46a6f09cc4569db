import { describe, expect, it } from 'vitest'
import { createQueue, type Options } from '../../drop-box/src/queue.ts'

interface Sent extends Options {
  readonly name: string
  readonly end: (error?: Error) => Promise<void>
}

/** A queue whose files end when the test says so. */
function testQueue(isLast?: (error: unknown) => boolean) {
  const sent: Sent[] = []
  const queue = createQueue(
    ({ name }, options) =>
      new Promise<void>((resolve, reject) => {
        const end = async (error?: Error) => {
          if (error) reject(error)
          else resolve()
          await new Promise((done) => setTimeout(done))
        }
        sent.push({ ...options, name, end })
        options.signal.addEventListener('abort', () => reject(options.signal.reason))
      }),
    () => {},
    isLast,
  )
  const add = (...names: string[]) => names.map((name) => queue.add(new File(['12'], name)))
  const states = () => [...queue.items].map(({ state }) => state)
  return { queue, sent, add, states }
}

describe('the queue of a drop box', () => {
  it('sends nothing before it starts, and three files at the same time', async () => {
    const { queue, sent, add, states } = testQueue()
    add('a', 'b', 'c', 'd', 'e')
    expect(sent).toEqual([])
    queue.start()
    expect(sent.map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    await sent[1]?.end()
    expect(sent.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd'])
    await sent[0]?.end(new Error('lost'))
    expect(states()).toEqual(['failed', 'done', 'sending', 'sending', 'sending'])
  })

  it('goes on with the next file after a cancel, and sends it again after a retry', async () => {
    const { queue, sent, add, states } = testQueue()
    const [, b] = add('a', 'b', 'c', 'd')
    queue.start()
    if (b) queue.cancel(b)
    expect(sent[1]?.signal.aborted).toBe(true)
    expect(states()).toEqual(['sending', 'canceled', 'sending', 'sending'])
    await sent[1]?.end()
    expect(states()[1]).toBe('canceled')
    if (b) queue.retry(b)
    expect(states()[1]).toBe('waiting')
    await sent[0]?.end()
    expect(sent.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd', 'b'])
    await sent[4]?.end()
    expect(states()).toEqual(['done', 'done', 'sending', 'sending'])
  })

  it('fails what waits after the last error, without sending it', async () => {
    const last = new Error('closed')
    const { queue, sent, add, states } = testQueue((error) => error === last)
    const [, , , d] = add('a', 'b', 'c', 'd', 'e')
    queue.start()
    await sent[0]?.end(last)
    expect(states()).toEqual(['failed', 'sending', 'sending', 'failed', 'failed'])
    expect(sent).toHaveLength(3)
    expect(d?.error).toBe(last)
  })

  it('ignores what a canceled try reports later', () => {
    const { queue, sent, add } = testQueue()
    const [a] = add('a')
    queue.start()
    if (a) queue.cancel(a)
    sent[0]?.onProgress({ loaded: 1, total: 2, stalled: undefined })
    expect(a?.loaded).toBe(0)
  })

  it('never sends a refused file', () => {
    const { queue, sent } = testQueue()
    queue.add(new File([], 'a'), new Error('too large'))
    queue.start()
    expect(sent).toEqual([])
  })

  it('keeps the parts of a failed file that is chosen again', async () => {
    const { queue, sent, add } = testQueue()
    const [a] = add('a')
    queue.start()
    await sent[0]?.end(new Error('lost'))
    if (a) queue.remove(a, 'returns')
    expect(sent).toHaveLength(1)
  })

  it('deletes the parts of a failed file that is removed', async () => {
    const { queue, sent, add } = testQueue()
    const [a] = add('a')
    queue.start()
    await sent[0]?.end(new Error('lost'))
    if (a) queue.remove(a)
    expect(sent).toHaveLength(2)
    expect(sent[1]?.signal.aborted).toBe(true)
    expect([...queue.items]).toEqual([])
  })

  it('deletes the parts of a failed file that is canceled before its next turn', async () => {
    const { queue, sent, add, states } = testQueue()
    const [a] = add('a', 'b', 'c', 'd')
    queue.start()
    await sent[0]?.end(new Error('lost'))
    if (a) queue.retry(a)
    expect(states()[0]).toBe('waiting')
    if (a) queue.cancel(a)
    expect(sent.map(({ name, signal }) => [name, signal.aborted])).toEqual([
      ['a', false],
      ['b', false],
      ['c', false],
      ['d', false],
      ['a', true],
    ])
    expect(states()).toEqual(['canceled', 'sending', 'sending', 'sending'])
  })
})
