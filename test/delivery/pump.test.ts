import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { pump } from '../../src/delivery/pump.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})

afterEach(() => {
  vi.useRealTimers()
})

/** A body that gives what `send` is given; says whether it was cancelled. */
function bodyOf() {
  const state = { cancelled: false }
  let control: ReadableByteStreamController | undefined
  const source: UnderlyingByteSource = {
    type: 'bytes',
    start: (controller) => {
      control = controller
    },
    cancel: () => {
      state.cancelled = true
    },
  }
  const body: ReadableStream<Uint8Array> = new ReadableStream(source)
  return {
    body,
    state,
    send: (text: string) => control?.enqueue(new TextEncoder().encode(text)),
    end: () => {
      control?.close()
      control?.byobRequest?.respond(0)
    },
  }
}

/** A sink that takes chunks at once, or not before `open` is called. */
function sinkOf(isOpen = true) {
  const gate = Promise.withResolvers<void>()
  if (isOpen) gate.resolve()
  const state = { text: '', aborted: false, closed: false, fail: false }
  const stream = new WritableStream<Uint8Array>({
    async write(chunk) {
      if (state.fail) throw new Error('The sink is gone.')
      await gate.promise
      state.text += new TextDecoder().decode(chunk)
    },
    close: () => {
      state.closed = true
    },
    abort: () => {
      state.aborted = true
    },
  })
  return { stream, state, open: gate.resolve }
}

/** Lets everything run that waits for nothing but promises. */
const settled = async () => {
  for (let i = 0; i < 200; i++) await Promise.resolve()
}

it('ends a body of which nothing comes for 30 seconds, and its connection', async () => {
  const { body, state, send } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf()]
  const pumped = pump(body, { client: client.stream, copy: copy.stream })
  const failure = expect(pumped).rejects.toMatchObject({ code: 'storage_error' })
  for (const text of ['a', 'b', 'c']) {
    send(text)
    await settled()
    await vi.advanceTimersByTimeAsync(29_999)
  }
  expect(client.state).toMatchObject({ text: 'abc', aborted: false })
  await vi.advanceTimersByTimeAsync(1)
  await failure
  expect([state.cancelled, client.state.aborted, copy.state.aborted]).toEqual([true, true, true])
})

it('waits for a slow client as long as it takes', async () => {
  const { body, state, send, end } = bodyOf()
  const client = sinkOf(false)
  const pumped = pump(body, { client: client.stream })
  send('a')
  await settled()
  await vi.advanceTimersByTimeAsync(3_600_000)
  expect(state.cancelled).toBe(false)
  client.open()
  send('b')
  await settled()
  end()
  await pumped
  expect(client.state).toMatchObject({ text: 'ab', closed: true })
})

it('ends the connection once the client is gone and there is no copy', async () => {
  const { body, state, send } = bodyOf()
  const client = sinkOf()
  client.state.fail = true
  const pumped = pump(body, { client: client.stream })
  send('a')
  expect(await pumped).toBe(false)
  await settled()
  expect(state.cancelled).toBe(true)
})

it('goes on with the copy when the client is gone', async () => {
  const { body, send, end } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf()]
  client.state.fail = true
  const pumped = pump(body, { client: client.stream, copy: copy.stream })
  for (const text of ['a', 'b']) {
    send(text)
    await settled()
  }
  end()
  expect(await pumped).toBe(true)
  expect(copy.state.text).toBe('ab')
})

it('counts a copy that failed as lost, and serves the client all the same', async () => {
  const { body, send, end } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf()]
  copy.state.fail = true
  const pumped = pump(body, { client: client.stream, copy: copy.stream })
  for (const text of ['a', 'b']) {
    send(text)
    await settled()
  }
  end()
  expect(await pumped).toBe(false)
  expect(client.state).toMatchObject({ text: 'ab', closed: true })
})

it('does not slow the client by a copy that hangs, and gives that up after two seconds', async () => {
  const { body, send, end } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf(false)]
  const pumped = pump(body, { client: client.stream, copy: copy.stream })
  const chunk = 'x'.repeat(64 * 1024)
  const taken = () => client.state.text.length / chunk.length
  for (let i = 0; i < 17; i++) {
    send(chunk)
    await settled()
  }
  expect(taken()).toBe(16)
  await vi.advanceTimersByTimeAsync(2000)
  expect(taken()).toBe(17)
  send(chunk)
  await settled()
  expect(taken()).toBe(18)
  end()
  expect(await pumped).toBe(false)
  expect(client.state.closed).toBe(true)
})
