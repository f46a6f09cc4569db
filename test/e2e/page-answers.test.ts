import { expect, it } from 'vitest'
import { lastDays } from '../../demo/src/answers/days.ts'
import { uniqueNames } from '../../demo/src/answers/zip-names.ts'

it('gives each file of a ZIP its own name, whatever the case', () => {
  expect(uniqueNames(['a.png', 'A.PNG', 'a.png', 'a (2).png', 'b', 'b'])).toEqual([
    'a.png',
    'A (2).PNG',
    'a (3).png',
    'a (2) (2).png',
    'b',
    'b (2)',
  ])
  expect(uniqueNames(['a.txt', 'a\u0308'], ['A.TXT', 'ä'])).toEqual(['a (2).txt', 'a\u0308 (2)'])
})

// @threat zip-path
it.each([
  ['../../etc/passwd', '__.._etc_passwd'],
  ['..\\run.bat', '__run.bat'],
  ['/a/b.txt', '_a_b.txt'],
  ['C:\\a?.txt', 'C__a_.txt'],
  ['.', '_'],
  ['..', '_'],
  ['', '_'],
  ['name. ', 'name_'],
  ['a\u0000\n.txt', 'a__.txt'],
  ['CON', '_CON'],
  ['nul.tar.gz', '_nul.tar.gz'],
  ['com1 .txt', '_com1 .txt'],
  ['console.log', 'console.log'],
  ['a\ud800', 'a_'],
])('keeps %j in the folder of the ZIP', (name, inside) => {
  expect(uniqueNames([name])).toEqual([inside])
})

it('cuts off names that are too long for a file system', () => {
  const long = `${'日本'.repeat(500)}.jpeg`
  const names = uniqueNames([long, long, `.${'x'.repeat(500)}`, `a.${'x'.repeat(500)}`])
  expect(names.map((name) => Buffer.byteLength(name) <= 255)).toEqual([true, true, true, true])
  expect(names[0]).toMatch(/^[日本]{78}\.jpeg$/)
  expect(names[1]).toMatch(/^[日本]{78} \(2\)\.jpeg$/)
})

it('names ten thousand equal files in one pass', () => {
  const names = uniqueNames(Array.from({ length: 10_000 }, () => 'image.png'))
  expect(new Set(names).size).toBe(10_000)
  expect(names.at(-1)).toBe('image (10000).png')
})

it('counts days in UTC, also those without files', () => {
  const groups = [
    { value: '2026-03-01', count: 2, bytes: 30 },
    { value: '2026-02-27', count: 1, bytes: 5 },
    { value: '2025-12-31', count: 1, bytes: 9 },
  ]
  expect(lastDays(groups, 3, new Date('2026-03-01T00:30:00Z'))).toEqual([
    { day: '2026-02-27', count: 1, bytes: 5 },
    { day: '2026-02-28', count: 0, bytes: 0 },
    { day: '2026-03-01', count: 2, bytes: 30 },
  ])
})
