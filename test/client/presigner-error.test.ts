import { expect, it } from 'vitest'
import { PresignerError } from '../../client/src/presigner-error.ts'

it.each([
  ['unavailable', 503, true],
  ['storage_error', 502, true],
  ['internal', 500, true],
  ['rate_limited', 429, true],
  ['bad_answer', 408, true],
  ['bad_answer', 522, true],
  ['network', 0, true],
  ['unreachable', 0, true],
  ['misconfigured', 503, false],
  // Of the client: the bucket's clock is ahead.
  ['misconfigured', 403, false],
  ['not_supported', 501, false],
  ['file_changed', 0, false],
  ['bad_answer', 200, false],
  ['bucket_refused', 403, false],
  ['object_exists', 409, false],
] as const)('says of %s with the status %i whether a retry may help: %s', (code, status, is) => {
  expect(new PresignerError(code, 'No.', { status }).retryable).toBe(is)
})

it('says that no retry may help once the object is deleted', () => {
  const details = { status: 503, reason: 'index', deleted: true }
  expect(new PresignerError('unavailable', 'No.', details).retryable).toBe(false)
})
