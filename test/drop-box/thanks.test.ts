import { expect, it } from 'vitest'
import { thanksFrom } from '../../drop-box/src/thanks.ts'

const files = (count: number) =>
  Array.from({ length: count }, (_, index) => new File(['12'], `${index}.txt`))

it.each([
  [1, 0, 'Ada has received 1 file (2 bytes): 0.txt.'],
  [2, 1, 'Ada has received 2 files (4 bytes): 0.txt, 1.txt. 1 file could not be sent.'],
  [
    9000,
    0,
    'Ada has received 9000 files (18 kB): 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, 5.txt, 6.txt, 7.txt, 8.txt, 9.txt, and 8990 more.',
  ],
])(
  'thanks for %i files with at most ten names, and counts %i that failed',
  (done, failed, text) => {
    expect(thanksFrom('Ada', files(done), failed)).toBe(text)
  },
)
