/** UTF-16 units of a folded name that can be searched and sorted by. */
const MAX_FOLDED = 1024

/**
 * What is neither a word nor ASCII, such as an emoji or half of one that was cut. FTS5 knows the
 * characters of 2012, and takes later ones for letters: then `🤖report` would be one word.
 */
const SYMBOL = /[^\p{L}\p{N}\p{Co}\0-\x7f]/gu

/** Letters that Unicode doesn't take apart, as people write them on other keyboards. */
const LETTERS: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ħ: 'h',
  ŧ: 't',
  ı: 'i',
  ς: 'σ', // also in the beginning of a word, where it isn't the last letter
}
const LETTER = new RegExp(`[${Object.keys(LETTERS).join('')}]`, 'gu')

/** Returns a name or a word without case and accents, to search and to sort by. */
export const foldName = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(LETTER, (letter) => LETTERS[letter] ?? letter)
    .slice(0, MAX_FOLDED)
    .replace(SYMBOL, ' ')

/** Returns the words of a name or a question: runs of letters and digits, folded. */
export const wordsOf = (text: string): string[] =>
  foldName(text).match(/[\p{L}\p{N}\p{Co}]+/gu) ?? []
