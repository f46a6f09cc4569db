import { afterEach, expect, it, vi } from 'vitest'
import { isNewObjectKey, newObjectKey } from '../../src/keys/new-key.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'

/*
 * Keys must stay the same across deploys, because they are the names of the objects. Links and
 * lists treat a key in this format as generated, and plain key order shows new files first.
 */

const KEPT = 'team-a/uploads/in/box/ybqs959fz0123456789a-my-photo.jpg'
const NOW = new Date('2026-11-24T12:00:00Z')

afterEach(() => vi.restoreAllMocks())

// @threat deploy-invalidates
it('still generates the same key for the same time and random bytes', () => {
  vi.spyOn(crypto, 'getRandomValues').mockImplementation((bytes) => {
    if (bytes instanceof Uint8Array) bytes.set(Uint8Array.from(bytes.keys()))
    return bytes
  })
  const file = { fileName: 'My Photo.JPG', prefix: 'team-a/', directory: 'in/box', now: NOW }
  expect(newObjectKey(file)).toBe(KEPT)
})

it('recognizes a kept key as generated', () => {
  expect(isNewObjectKey(parseObjectKey(KEPT))).toBe(true)
  expect(isNewObjectKey(parseObjectKey(KEPT.replace('0123456789a', '0123456789')))).toBe(false)
})

it('sorts a newer key before an older one', () => {
  const later = new Date(NOW.getTime() + 1)
  const file = { fileName: 'a.jpg', prefix: 'team-a/', directory: 'in/box', now: later }
  expect(newObjectKey(file) < KEPT).toBe(true)
})
