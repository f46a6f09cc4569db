import { posix, win32 } from 'node:path'
import { expect, it } from 'vitest'
import { staleFiles } from '../../tools/dev/build-page.ts'
import { urlPath } from '../../tools/dev/url-path.ts'

it('writes the path of a file below a folder as in a URL, on Windows too', () => {
  expect(urlPath('C:\\app\\public', 'C:\\app\\public\\assets\\a.js', win32)).toBe('assets/a.js')
  expect(urlPath('/app/public', '/app/public/assets/a.js', posix)).toBe('assets/a.js')
  expect(urlPath('/app/public', '/app/public/a\\b.js', posix)).toBe('a\\b.js')
})

it.each([
  ['Windows', 'C:\\app\\public', win32],
  ['others', '/app/public', posix],
])('deletes only files that are no longer part of the page, on %s', (_, folder, platform) => {
  const file = (name: string) => platform.join(folder, name)
  const present = ['index.html', 'assets/page-1.js', 'assets/page-2.js', '.build', 'a/.build']
  const page = new Set(['index.html', 'assets/page-2.js'])
  expect(staleFiles(folder, present.map(file), page, platform)).toEqual(
    ['assets/page-1.js', 'a/.build'].map(file),
  )
})
