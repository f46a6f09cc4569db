/**
 * The starts of cells that a spreadsheet would read as formulas (OWASP, CSV Injection), also after
 * quotes and invisible characters, and in the wide forms that Excel accepts. A formula may also start after what a
 * program takes for a separator: where the comma is in numbers, Excel splits lines at semicolons, also in
 * quotes.
 */
const FORMULA = /(^|[;\t\r\n|])(?=["\s\p{C}]*[=+\-@＝＋－＠])|^(?=[\t\r\n])/gu
const NEEDS_QUOTES = /[",\r\n]/

/** Returns one cell (RFC 4180). An apostrophe in front makes a formula a text. */
function csvCell(value: string): string {
  const text = value.replace(FORMULA, "$1'")
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
