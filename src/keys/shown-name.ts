// Without imports, since the page of a drop box has it too.

/** Control and half characters, line breaks, and what changes the direction of text (UAX #9). */
export const UNSAFE = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu
/** A character that people see. Some letters and symbols are blank, such as U+3164 and U+2800. */
const VISIBLE = /(?![\p{DI}\u2800\ufffc\u{13441}\u{13442}\u{1d159}])[\p{L}\p{N}\p{P}\p{S}]/u
/** A list shows, and an index keeps, only the start of a name. */
export const SHOWN_CHARACTERS = 100

/** Tells whether people see anything of a name. */
export const isShown = (name: string): boolean => VISIBLE.test(name.slice(0, SHOWN_CHARACTERS))

/** Returns the first text that is a file name, with `_` for forbidden characters, or a default. */
export const toFileName = (...texts: readonly string[]): string =>
  texts.map((text) => text.replace(UNSAFE, '_')).find(isShown) ?? 'file'
