/** One range of bytes, as a response states it. */
export interface ByteRange {
  readonly first: number
  readonly last: number
  /** Bytes of the whole representation. */
  readonly size: number
}

/**
 * The header if it asks for one range of bytes that a representation could have, else null: several
 * ranges, another unit and nonsense are answered with the whole, as RFC 9110, §14.2 allows.
 */
export function singleRange(header: string | null): string | null {
  if (header === null) return null
  if (/^bytes=-0*[1-9]\d{0,14}$/.test(header)) return header
  const match = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(header)
  if (match === null) return null
  const [, first, last] = match
  return last === '' || Number(first) <= Number(last) ? header : null
}

/** The range in a `Content-Range` header, or null. */
export function parseContentRange(header: string | null): ByteRange | null {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header ?? '')
  if (match === null) return null
  const [first = 0, last = 0, size = 0] = match.slice(1).map(Number)
  return first <= last && last < size ? { first, last, size } : null
}

/** Whether `range`, from `singleRange`, asks for every byte of a representation of `size` bytes. */
export function coversAll(range: string, size: number): boolean {
  const [first = '', last = ''] = range.slice('bytes='.length).split('-')
  if (first === '') return Number(last) >= size
  return Number(first) === 0 && (last === '' || Number(last) >= size - 1)
}
