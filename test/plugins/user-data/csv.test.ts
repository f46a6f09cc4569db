import { expect, it } from 'vitest'
import { csvLine } from '../../../src/plugins/user-data/export.ts'

// @threat formula-injection
it.each([
  '=1+1',
  '+1',
  '-1',
  '@SUM(1)',
  '\t=1',
  '\r=1',
  '\n=1',
  '＝1',
  '＋1',
  '－1',
  '＠1',
  ' =1',
  '\uFEFF=1',
  '\u200B@1',
  '\0+1',
  '\u2028-1',
])('makes a text of %j', (value) => {
  expect(csvLine([value])).toMatch(/^"?'/)
})

it.each([
  ['a', 'a'],
  ['a=b', 'a=b'],
  // Where a semicolon separates cells, this would be one.
  ['a;=1', "a;'=1"],
  ['a; ＝1', "a;' ＝1"],
  ['a\t=1;b|@c', "a\t'=1;b|'@c"],
  // The quote that would begin that cell.
  ['a;"=1', `"a;'""=1"`],
  ['"=1', `"'""=1"`],
  ['a\n=1', `"a\n'=1"`],
  ['a;b', 'a;b'],
  ['a,b', '"a,b"'],
  ['a"b', '"a""b"'],
  ['a\nb', '"a\nb"'],
  ['=a"b', `"'=a""b"`],
  [5, '5'],
  [null, ''],
  [undefined, ''],
])('writes %j as %j', (value, cell) => {
  expect(csvLine([value, 'x'])).toBe(`${cell},x\r\n`)
})
