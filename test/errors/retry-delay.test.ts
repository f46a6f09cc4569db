import { describe, expect, it } from 'vitest'
import { retryDelay, secondsAsked } from '../../src/errors/retry-delay.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const HOUR = 3600
/** `max_retries` in wrangler.toml. */
const RETRIES = 24
const attempts = Array.from({ length: RETRIES }, (_, i) => i + 1)
const total = (random: number) =>
  attempts.reduce((sum, attempt) => sum + retryDelay(attempt, 0, random), 0)

describe('the delay after a failure', () => {
  it('doubles from 10 seconds to an hour', () => {
    const delays = attempts.slice(0, 11).map((attempt) => retryDelay(attempt, 0, 0))
    expect(delays).toEqual([10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600])
  })

  it('adds up to a quarter by chance', () => {
    expect(retryDelay(1, 0, 0.999_999)).toBe(12)
    expect(retryDelay(20, 0, 0.5)).toBe(4050)
    expect(retryDelay(20, 0, 0.999_999)).toBe(4500)
  })

  it('is what the endpoint asks for, between the own delay and an hour', () => {
    expect(retryDelay(1, 90, 0)).toBe(90)
    expect(retryDelay(5, 90, 0)).toBe(160)
    expect(retryDelay(1, 86_400, 0)).toBe(HOUR)
  })

  // @threat event-lost
  it('leaves attempts for an endpoint that fails for an hour, or half a day', () => {
    expect(total(0)).toBeGreaterThan(12 * HOUR)
    const afterAnHour = attempts.filter((last) => {
      const waited = attempts.slice(0, last).reduce((sum, n) => sum + retryDelay(n, 0, 1), 0)
      return waited > HOUR
    })
    expect(afterAnHour.length).toBeGreaterThan(10)
  })

  it('ends within a day, the retention of queues on the free plan', () => {
    const attemptsLast = RETRIES * 10
    expect(total(1) + attemptsLast).toBeLessThan(24 * HOUR)
  })

  it('never exceeds the 12 hours that Cloudflare Queues allows, whatever the attempt', () => {
    expect(retryDelay(10_000, 1e9, 1)).toBeLessThanOrEqual(43_200)
  })
})

describe('Retry-After', () => {
  it.each([
    ['120', 120],
    ['0', 0],
    ['Tue, 24 Nov 2026 12:02:00 GMT', 120],
    ['Tue, 24 Nov 2026 11:00:00 GMT', 0],
    ['-5', 0],
    ['soon', 0],
    ['1e9', 0],
    ['9'.repeat(400), 0],
    ['', 0],
    [null, 0],
  ])('%j means %i seconds', (header, seconds) => {
    expect(secondsAsked(header, NOW)).toBe(seconds)
  })
})
