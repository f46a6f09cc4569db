import { expect, it } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { ownerFinder } from '../../../src/plugins/upkeep/owner.ts'

const find = (key: string, owner: string | null, ownerAs = '{owner}') =>
  ownerFinder({ owner, ownerAs })(parseObjectKey(key))

it.each([
  ['users/ann/a.jpg', 'users/{owner}/', 'key:app/{owner}', 'key:app/ann'],
  ['users/ann/b/c/a.jpg', 'users/{owner}/', '{owner}', 'ann'],
  ['ann/a.jpg', '{owner}/', '{owner}', 'ann'],
  ['t/ann/photos/a.jpg', 't/{owner}/photos/', '{owner}', 'ann'],
  ['users/ann/a.jpg', 'users/{owner}/', 'key:app', 'key:app'],
  ['users/$&/a.jpg', 'users/{owner}/', 'x{owner}', 'x$&'],
])('finds the owner of %s by %s', (key, owner, ownerAs, expected) => {
  expect(find(key, owner, ownerAs)).toBe(expected)
})

it.each([
  ['photos/users/ann/a.jpg', 'users/{owner}/'],
  ['users/a.jpg', 'users/{owner}/'],
  ['users//a.jpg', 'users/{owner}/'],
  ['t/ann/videos/a.jpg', 't/{owner}/photos/'],
  ['t/ann/x/photos/a.jpg', 't/{owner}/photos/'],
  ['users/e\u0301/a.jpg', 'users/{owner}/'],
  ['users/a\u2028b/a.jpg', 'users/{owner}/'],
  [`users/${'x'.repeat(201)}/a.jpg`, 'users/{owner}/'],
  ['users/ann/a.jpg', null],
])('finds no owner of %s by %s', (key, owner) => {
  expect(find(key, owner)).toBe(null)
})

it('finds no owner without a template', () => {
  expect(ownerFinder(null)(parseObjectKey('users/ann/a.jpg'))).toBe(null)
})
