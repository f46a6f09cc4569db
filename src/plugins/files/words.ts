/** UTF-16 units of a folded name that can be searched and sorted by. */
const MAX_FOLDED = 1024

/** Returns a name or a word without case and accents, to search and to sort by. */
export const foldName = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll('ς', 'σ') // also in the beginning of a word, where it isn't the last letter
    .slice(0, MAX_FOLDED)

/** Returns the words of a name or a question: runs of letters and digits, folded. */
export const wordsOf = (text: string): string[] =>
  foldName(text).match(/[\p{L}\p{N}\p{Co}]+/gu) ?? []
