import { describe, expect, it } from 'vitest'
import {
  ApiError,
  type ErrorCode,
  isPresignerError,
  REASONS_BY_CODE,
} from '../../src/errors/api-error.ts'
import { mount } from '../support/mount.ts'

/** What an app answers whose login throws `error`. */
const answerTo = async (error: unknown) => {
  const app = mount({
    authenticate: () => {
      throw error
    },
  })
  const response = await app.fetch('/media/files')
  const { code, reason } = await response.json<{ code: string; reason?: string }>()
  return [response.status, code, reason, response.headers.get('Retry-After')]
}

/** An error of another copy of this package, with these members. */
const foreign = (members: object) =>
  Object.assign(new Error('No.'), { name: 'PresignerError', issues: [], ...members })

describe('an error that is `unavailable`', () => {
  it.each(REASONS_BY_CODE.unavailable)('tells when to come again, and why: %s', async (reason) => {
    const error = new ApiError('unavailable', 'No.', { reason, retryAfterSeconds: 7 })
    expect(await answerTo(error)).toEqual([503, 'unavailable', reason, '7'])
  })

  it.each([{}, { reason: 'weather', retryAfterSeconds: 0 }, { retryAfterSeconds: 'soon' }])(
    'of another copy does so too, whatever it says: %j',
    async (members) => {
      const error = foreign({ code: 'unavailable', ...members })
      expect(await answerTo(error)).toEqual([503, 'unavailable', 'storage', '5'])
    },
  )
})

describe('an error that is `misconfigured`', () => {
  it.each(REASONS_BY_CODE.misconfigured)('never tells when to come again: %s', async (reason) => {
    const error = new ApiError('misconfigured', 'No.', { reason })
    expect(await answerTo(error)).toEqual([503, 'misconfigured', reason, null])
    const other = foreign({ code: 'misconfigured', reason, retryAfterSeconds: 7 })
    expect(await answerTo(other)).toEqual([503, 'misconfigured', reason, null])
  })
})

it('is no error of this package if it throws when somebody reads it', () => {
  const fail = (): never => {
    throw new Error('read')
  }
  const name = { get: fail }
  expect(isPresignerError(Object.defineProperty(new Error('No.'), 'name', name))).toBe(false)
  expect(isPresignerError(new Proxy(new Error('No.'), { getPrototypeOf: fail }))).toBe(false)
})

const CLOCK = { reason: 'clock', retryAfterSeconds: 5 } as const

it('is not compiled without what its code needs, or with what its code must not have', () => {
  // Otherwise, `npm run check` reports an unused directive.
  const impossible = (code: ErrorCode): readonly (() => ApiError)[] => [
    // @ts-expect-error: no reason, and no time
    () => new ApiError('unavailable', 'No.'),
    // @ts-expect-error: no time
    () => new ApiError('unavailable', 'No.', { reason: 'index' }),
    // @ts-expect-error: no reason
    () => new ApiError('unavailable', 'No.', { retryAfterSeconds: 5 }),
    // @ts-expect-error: a reason that is not in the list
    () => new ApiError('unavailable', 'No.', { reason: 'settings', retryAfterSeconds: 5 }),
    // @ts-expect-error: no reason
    () => new ApiError('misconfigured', 'No.'),
    // @ts-expect-error: a reason that passes
    () => new ApiError('misconfigured', 'No.', { reason: 'storage' }),
    // @ts-expect-error: a time
    () => new ApiError('misconfigured', 'No.', { reason: 'clock', retryAfterSeconds: 5 }),
    // @ts-expect-error: a time, also from elsewhere
    () => new ApiError('misconfigured', 'No.', { ...CLOCK }),
    // @ts-expect-error: no reason
    () => new ApiError('link_invalid', 'No.'),
    // @ts-expect-error: a time
    () => new ApiError('storage_error', 'No.', { retryAfterSeconds: 5 }),
    // @ts-expect-error: any code, which may need a reason
    () => new ApiError(code, 'No.', { reason: 'index', retryAfterSeconds: 5 }),
  ]
  expect(impossible('internal')).toHaveLength(11)
})
