import { expect, it } from 'vitest'
import { PresignerError } from '../../client/src/presigner-error.ts'
import { reasonOf, refusalOf } from '../../drop-box/src/refusal.ts'
import type { BoxData } from '../../src/plugins/drop-boxes/box-data.ts'

const box: BoxData = {
  ...{ from: 'Ada', maxFiles: 5, maxBytes: 2_000_000, maxTotalBytes: 4_000_000 },
  ...{ allowedTypes: ['image/*'], hasPassword: false, left: { files: 5, bytes: 4_000_000 } },
}

it.each([
  ['type_mismatch', 400, 'Its name does not show its type. Put it into a ZIP file.'],
  ['mimetype_not_allowed', 400, 'This type is not accepted. Accepted: images.'],
  ['invalid_request', 400, 'It could not be sent. r1'],
  ['unavailable', 503, 'The server is busy. r1'],
] as const)('says of %s with the status %i: %s', (code, status, text) => {
  expect(reasonOf(new PresignerError(code, 'No.', { status, requestId: 'r1' }), box)).toBe(text)
})

it('refuses an empty file, which has no part', () => {
  const error = refusalOf(new File([], 'a.png', { type: 'image/png' }), box, box.left)
  expect(reasonOf(error, box)).toBe('It is empty.')
})
