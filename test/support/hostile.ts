import fc from 'fast-check'

/** Pieces that URL parsers, percent-decoders, header parsers or file systems treat specially. */
const TRAPS = [
  '.',
  '..',
  '...',
  '/',
  '//',
  '\\',
  '/../',
  '/./',
  '..\\',
  '%',
  '%2e',
  '%2e%2e',
  '%2E%2e%2F',
  '..%2f',
  '%5c..',
  '%00',
  '%zz',
  '%E0%A4',
  '%252e',
  '+',
  ' ',
  '  ',
  '?',
  '#',
  '&',
  '=',
  ';',
  ',',
  '@',
  ':',
  "'",
  '(',
  ')',
  '*',
  '!',
  '~',
  '|',
  '^',
  '`',
  '"',
  '<>',
  '[]',
  '{}',
  '\u00e9',
  'e\u0301',
  '\u6f22',
  '\u{1f600}',
  '\u202e',
  '\u200b',
  '\u2028',
  '\ufeff',
  '\u00a0',
  '\uff0e\uff0e\uff0f',
  '\u0130',
]

/** Pieces that no object key may contain. */
const POISON = [
  '\u0000',
  '\n',
  '\r\n',
  '\t',
  '\u001f',
  '\u007f',
  '\u0085',
  '\u009f',
  '\ud800',
  '\udfff',
]

const piece = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...TRAPS) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }) },
)

/** Well-formed text from all of Unicode with many traps. Control characters are rare. */
export const hostileText = fc
  .array(piece, { minLength: 1, maxLength: 12 })
  .map((pieces) => pieces.join(''))

/** Text that may or may not be a valid object key. */
export const maybeKey = fc
  .array(fc.oneof({ weight: 30, arbitrary: piece }, fc.constantFrom(...POISON)), { maxLength: 12 })
  .map((pieces) => pieces.join(''))

/** A header value that arrives unchanged: printable ASCII without leading or trailing spaces. */
export const headerValue = fc.stringMatching(/^[!-~](?:[ -~]{0,40}[!-~])?$/)
