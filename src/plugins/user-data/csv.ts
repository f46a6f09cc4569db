/**
 * Cells that a spreadsheet would read as a formula, also in the wide forms that Excel accepts (OWASP, CSV
 * Injection).
 */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/
const NEEDS_QUOTES = /[",\r\n]/

/** Returns one cell (RFC 4180). An apostrophe in front makes a formula a text. */
function csvCell(value: string): string {
  const text = FORMULA.test(value) ? `'${value}` : value
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Returns one line with its end. A missing value is an empty cell. */
export const csvLine = (values: readonly (string | number | null | undefined)[]): string =>
  `${values.map((value) => csvCell(String(value ?? ''))).join(',')}\r\n`

/**
 * The byte order mark before the header line. Without it, Excel reads UTF-8 as an old code page.
 * Programs should read NDJSON.
 */
export const BOM = '\uFEFF'
