/**
 * Returns a text without the characters that control a terminal or turn its letters around: keys and names
 * come from strangers. Each is written as in JSON, so a line of JSON keeps its value.
 */
export const printable = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
