import { posix, win32 } from 'node:path'
import { expect, it } from 'vitest'
import { urlPath } from '../../dev/url-path.ts'

it('names a file below a folder as a URL does, on Windows too', () => {
  expect(urlPath('C:\\app\\public', 'C:\\app\\public\\assets\\a.js', win32)).toBe('assets/a.js')
  expect(urlPath('/app/public', '/app/public/assets/a.js', posix)).toBe('assets/a.js')
  expect(urlPath('/app/public', '/app/public/a\\b.js', posix)).toBe('a\\b.js')
})
