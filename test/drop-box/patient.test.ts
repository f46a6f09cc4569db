import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Api } from '../../client/src/api.ts'
import { PresignerError } from '../../client/src/presigner-error.ts'
import { createPatience } from '../../drop-box/src/patient.ts'

const isAnything = (_: unknown): _ is unknown => true
const tooMany = (retryAfter: number) =>
  new PresignerError('rate_limited', 'x', { status: 429, retryAfter })

/** An API that refuses until the test lets it accept. */
function testApi(error: () => PresignerError) {
  const { patient, wake } = createPatience()
  const state = { accepts: false, calls: 0 }
  const api: Api = async (check) => {
    state.calls++
    const answer: unknown = 'done'
    if (!state.accepts || !check(answer)) throw error()
    return answer
  }
  return { api: patient(api), wake, state }
}

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

describe('a request that the server refuses for now', () => {
  it('waits for Retry-After, and goes on', async () => {
    const { api, state } = testApi(() => tooMany(20))
    const stall = vi.fn()
    const answer = api(isAnything, 'POST', '/files/upload-url', { stall })
    await vi.advanceTimersByTimeAsync(19_000)
    expect(state.calls).toBe(1)
    expect(stall).toHaveBeenCalledWith(expect.objectContaining({ code: 'rate_limited' }))
    state.accepts = true
    await vi.advanceTimersByTimeAsync(6000)
    expect(await answer).toBe('done')
  })

  it('goes on at once when another file has ended', async () => {
    const { api, wake, state } = testApi(() => tooMany(60))
    const answer = api(isAnything, 'POST', '/multipart')
    await vi.advanceTimersByTimeAsync(0)
    state.accepts = true
    wake()
    expect(await answer).toBe('done')
  })

  it('ends with its upload', async () => {
    const { api } = testApi(() => tooMany(60))
    const { signal, abort } = (() => {
      const controller = new AbortController()
      return { signal: controller.signal, abort: () => controller.abort(new Error('canceled')) }
    })()
    const refused = expect(api(isAnything, 'POST', '/multipart', { signal })).rejects
    await vi.advanceTimersByTimeAsync(0)
    abort()
    await refused.toThrow('canceled')
  })

  it('waits between one and 75 seconds, whatever the server asks for', async () => {
    for (const [asked, least, most] of [
      [0, 1, 1.25],
      [100_000, 60, 75],
    ] as const) {
      const { api, state } = testApi(() => tooMany(asked))
      void api(isAnything, 'POST', '/multipart')
      await vi.advanceTimersByTimeAsync(least * 1000 - 1)
      expect(state.calls).toBe(1)
      await vi.advanceTimersByTimeAsync((most - least) * 1000 + 2)
      expect(state.calls).toBe(2)
      state.accepts = true
      await vi.advanceTimersByTimeAsync(100_000)
    }
  })

  it('passes on every other error', async () => {
    const { api } = testApi(() => new PresignerError('drop_box_full', 'x', { status: 409 }))
    await expect(api(isAnything, 'POST', '/multipart')).rejects.toMatchObject({
      code: 'drop_box_full',
    })
  })
})
