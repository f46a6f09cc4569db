/** The addresses that start with the same bits. */
export interface IpRange {
  /** Bits of an address: 32 or 128. */
  readonly size: number
  /** The first bits of its addresses, each as `0` or `1`. */
  readonly start: string
  /** Its one spelling: RFC 5952, and no length for a single address. */
  readonly text: string
}

/**
 * Returns an address as `[its one spelling, its bits]`, or null. Accepts neither leading zeros in
 * IPv4, nor a port, nor a zone. An IPv4 address in IPv6, as servers for both report it, is the IPv4
 * address.
 */
export function parseAddress(text: string): readonly [string, string] | null {
  const isV6 = text.includes(':')
  if (!(isV6 ? /^[\da-f:.]+$/i : /^(\d+\.){3}\d+$/).test(text)) return null
  const url = isV6 ? `http://[${text}]` : `http://${text}`
  // The URL standard reads IPv6 as RFC 4291 does, but IPv4 in more ways than one.
  const host = URL.canParse(url) ? new URL(url).hostname : ''
  if (!isV6) return host === text ? [text, bitsOf(text.split('.'), 10, 8)] : null
  if (host === '') return null
  const [head = [], tail] = host
    .slice(1, -1)
    .split('::')
    .map((part) => part.split(':').filter(Boolean))
  const zeros = Array(8 - head.length - (tail?.length ?? 0)).fill('0')
  const bits = bitsOf([...head, ...zeros, ...(tail ?? [])], 16, 16)
  return [host.slice(1, -1), bits.startsWith(IN_IPV6) ? bits.slice(IN_IPV6.length) : bits]
}

/** The first bits of an IPv4 address in IPv6, `::ffff:0:0/96`. */
const IN_IPV6 = '0'.repeat(80) + '1'.repeat(16)

const bitsOf = (parts: readonly string[], radix: number, size: number): string =>
  parts.map((part) => Number.parseInt(part, radix).toString(2).padStart(size, '0')).join('')

/**
 * Returns a range in CIDR notation or a single address, or null. Its last bits must be zero, and an
 * IPv4 range must not be written as IPv6.
 */
export function parseIpRange(range: string): IpRange | null {
  const [, address = '', length] = /^([^/]*)(?:\/(0|[1-9]\d?\d?))?$/.exec(range) ?? []
  const [spelled, bits] = parseAddress(address) ?? ['', '']
  const size = bits.length
  if (size === 0 || (size === 32 && spelled.includes(':'))) return null
  const kept = Number(length ?? size)
  if (kept > size || bits.includes('1', kept)) return null
  const text = kept === size ? spelled : `${spelled}/${kept}`
  return { size, start: bits.slice(0, kept), text }
}

/** Tells whether an address is in one of these ranges. No address and no range is in any. */
export function isInRanges(address: string, ranges: readonly string[]): boolean {
  const [, bits = ''] = parseAddress(address) ?? []
  return ranges.some((text) => {
    const range = parseIpRange(text)
    return range !== null && range.size === bits.length && bits.startsWith(range.start)
  })
}
