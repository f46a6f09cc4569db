import { filesInWords, sizeInWords } from '../../src/http/format.ts'

/** How many names the thanks have. The list of files has all of them. */
const MAX_NAMES = 10

/** Returns what `from` has received, and how many files could not be sent. */
export function thanksFrom(from: string, done: readonly File[], failed: number): string {
  const bytes = done.reduce((sum, { size }) => sum + size, 0)
  const names = done.slice(0, MAX_NAMES).map(({ name }) => name)
  const more = done.length - names.length
  const list = names.join(', ') + (more > 0 ? `, and ${more} more` : '')
  const lost = failed ? ` ${filesInWords(failed)} could not be sent.` : ''
  return `${from} has received ${filesInWords(done.length)} (${sizeInWords(bytes)}): ${list}.${lost}`
}
