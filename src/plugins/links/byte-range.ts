/** The byte range of a response. */
export interface ByteRange {
  readonly first: number
  readonly last: number
  /** Bytes of the complete representation. */
  readonly size: number
}

/** Returns one valid range in lower case, or null for a complete response (RFC 9110, §14.2). */
export function singleRange(header: string | null): string | null {
  const range = header?.toLowerCase() ?? ''
  if (/^bytes=-0*[1-9]\d{0,14}$/.test(range)) return range
  const match = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(range)
  if (match === null) return null
  const [, first, last] = match
  return last === '' || Number(first) <= Number(last) ? range : null
}

/** Returns the range in a `Content-Range` header, or null. */
export function parseContentRange(header: string | null): ByteRange | null {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header ?? '')
  if (match === null) return null
  const [first = 0, last = 0, size = 0] = match.slice(1).map(Number)
  return first <= last && last < size ? { first, last, size } : null
}

/** Returns the bytes of `range` in `size` bytes. `first` is larger than `last` if it has none. */
export function rangeOf(range: string, size: number): Pick<ByteRange, 'first' | 'last'> {
  const [first = '', last = ''] = range.slice('bytes='.length).split('-')
  if (first === '') return { first: Math.max(0, size - Number(last)), last: size - 1 }
  return { first: Number(first), last: last === '' ? size - 1 : Math.min(Number(last), size - 1) }
}
