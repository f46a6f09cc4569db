import { expect, it } from 'vitest'
import { objectKeyFault } from '../../src/keys/object-key.ts'

it('takes every key that S3 takes and no URL parser folds', () => {
  for (const key of [
    'a',
    'a/b',
    '/a',
    'a//b',
    'a/',
    '...',
    '.a/..b',
    'a\\..\\b',
    "+%?#&'()*!~ é漢😀",
  ])
    expect(objectKeyFault(key), key).toBeNull()
})
