import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { relayBody } from '../../../src/core/relay.ts'
import { FAKE_CLOCK } from '../../support/fake-seconds.ts'
import { linkTo, open, putObject } from '../../support/links.ts'

beforeEach(() => {
  vi.useFakeTimers(FAKE_CLOCK)
})

afterEach(() => {
  vi.useRealTimers()
})

/** A body that delivers what `send` is called with. Records whether it was cancelled. */
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

/** A sink that accepts chunks immediately, or after `open` is called. */
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

/** Runs everything that waits only for promises. */
const settled = async () => {
  for (let i = 0; i < 200; i++) await Promise.resolve()
}

// @threat bucket-stalls
it.each([
  ['nothing', 0],
  ['one byte a second', 1],
  ['a little less than 16 KiB', 819],
])('ends a body that sends %s within 20 seconds, and its connection', async (_, bytes) => {
  const { body, state, send } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf()]
  const pumped = relayBody(body, { client: client.stream, copy: copy.stream })
  const failure = expect(pumped).rejects.toMatchObject({ code: 'storage_error' })
  for (let second = 1; second <= 20; second++) {
    expect([second, client.state.aborted]).toEqual([second, false])
    await vi.advanceTimersByTimeAsync(999)
    if (bytes > 0) send('x'.repeat(bytes))
    await settled()
    await vi.advanceTimersByTimeAsync(1)
  }
  await failure
  expect([state.cancelled, client.state.aborted, copy.state.aborted]).toEqual([true, true, true])
})

// @threat bucket-stalls
it('lets a slow bucket take as long as it sends 16 KiB in 20 seconds', async () => {
  const { body, send, end } = bodyOf()
  const client = sinkOf()
  const pumped = relayBody(body, { client: client.stream })
  for (let i = 1; i <= 100; i++) {
    await vi.advanceTimersByTimeAsync(9900)
    send('x'.repeat(8 * 1024))
    await settled()
    expect(client.state.text.length).toBe(i * 8 * 1024)
  }
  end()
  await pumped
  expect(client.state.closed).toBe(true)
})

// @threat bucket-stalls
it('waits for a slow client as long as it takes', async () => {
  const { body, state, send, end } = bodyOf()
  const client = sinkOf(false)
  const pumped = relayBody(body, { client: client.stream })
  for (let hour = 0; hour < 3; hour++) {
    send('a')
    await settled()
    await vi.advanceTimersByTimeAsync(3_600_000)
  }
  expect(state.cancelled).toBe(false)
  client.open()
  send('b')
  await settled()
  end()
  await pumped
  expect(client.state).toMatchObject({ text: 'aaab', closed: true })
})

it('ends the connection when the client is gone and there is no copy', async () => {
  const { body, state, send } = bodyOf()
  const client = sinkOf()
  client.state.fail = true
  const pumped = relayBody(body, { client: client.stream })
  send('a')
  expect(await pumped).toBe(false)
  await settled()
  expect(state.cancelled).toBe(true)
})

it('continues the copy when the client is gone', async () => {
  const { body, send, end } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf()]
  client.state.fail = true
  const pumped = relayBody(body, { client: client.stream, copy: copy.stream })
  for (const text of ['a', 'b']) {
    send(text)
    await settled()
  }
  end()
  expect(await pumped).toBe(true)
  expect(copy.state.text).toBe('ab')
})

it('gives up a copy that fails, and still serves the client', async () => {
  const { body, send, end } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf()]
  copy.state.fail = true
  const pumped = relayBody(body, { client: client.stream, copy: copy.stream })
  for (const text of ['a', 'b']) {
    send(text)
    await settled()
  }
  end()
  expect(await pumped).toBe(false)
  expect(client.state).toMatchObject({ text: 'ab', closed: true })
})

it('gives up a copy that hangs for two seconds, so that the client can continue', async () => {
  const { body, send, end } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf(false)]
  const pumped = relayBody(body, { client: client.stream, copy: copy.stream })
  const chunk = 'x'.repeat(256 * 1024)
  const taken = () => client.state.text.length / chunk.length
  for (let i = 0; i < 5; i++) {
    send(chunk)
    await settled()
  }
  expect(taken()).toBe(4)
  await vi.advanceTimersByTimeAsync(2000)
  expect(taken()).toBe(5)
  send(chunk)
  await settled()
  expect(taken()).toBe(6)
  end()
  expect(await pumped).toBe(false)
  expect(client.state.closed).toBe(true)
})

// @threat bucket-stalls
it('reads large blocks while the bucket is fast, and waits at most 20 seconds for one', async () => {
  const { body, send } = bodyOf()
  const client = sinkOf()
  const pumped = relayBody(body, { client: client.stream })
  const failure = expect(pumped).rejects.toMatchObject({ code: 'storage_error' })
  send('x'.repeat(64 * 1024))
  await settled()
  for (let second = 0; second < 19; second++) {
    await vi.advanceTimersByTimeAsync(1000)
    send('y')
    await settled()
  }
  expect(client.state.text.length).toBe(64 * 1024)
  await vi.advanceTimersByTimeAsync(999)
  expect(client.state.aborted).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  await failure
})

it('passes on immediately what a slow bucket sends', async () => {
  const { body, send, end } = bodyOf()
  const client = sinkOf()
  const pumped = relayBody(body, { client: client.stream })
  for (let i = 1; i <= 3; i++) {
    await vi.advanceTimersByTimeAsync(2000)
    send('x'.repeat(64 * 1024))
    await settled()
    await vi.advanceTimersByTimeAsync(17_000)
    send('y')
    await settled()
    expect(client.state.text.length).toBe(i * (64 * 1024 + 1))
  }
  end()
  await pumped
})

it('delivers a large object byte for byte, even to a slow reader', async () => {
  vi.useRealTimers()
  const bytes = new Uint8Array(3_000_000).map((_, i) => (i * 2_654_435_761) >>> 24)
  const link = await linkTo(await putObject('large.bin', bytes), {}, 'uncached')
  const { body } = await open(link.link)
  const received: number[] = []
  for await (const chunk of body ?? []) {
    if (received.length % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    received.push(...chunk)
  }
  expect(received.length).toBe(bytes.length)
  expect(received.findIndex((byte, i) => byte !== bytes[i])).toBe(-1)
})

it("writes the client's bytes to a copy that lags, not later ones", async () => {
  const { body, send, end } = bodyOf()
  const [client, copy] = [sinkOf(), sinkOf(false)]
  const pumped = relayBody(body, { client: client.stream, copy: copy.stream })
  for (const text of ['a', 'b', 'c']) {
    send(text)
    await settled()
  }
  copy.open()
  end()
  expect(await pumped).toBe(true)
  expect([client.state.text, copy.state.text]).toEqual(['abc', 'abc'])
})
