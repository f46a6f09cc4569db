import * as z from 'zod/mini'
import { ApiError, invalidMember } from '../../errors/api-error.ts'
import { instant } from '../../http/fields.ts'
import type { FileIndex } from '../../records/file-index.ts'
import { type FileAnswers, type FileQuery, GROUPS, SORTS } from '../../records/file-query.ts'
import { wordsOf } from './search-text.ts'

const MAX_WORDS = 10

/** A date in the spelling of `createdAt`, which an index compares as text. */
const date = z.optional(
  z.pipe(
    instant(),
    z.transform((text) => new Date(text).toISOString()),
  ),
)
const size = z.optional(
  z.pipe(z.string().check(z.regex(/^\d{1,15}$/, 'must be a whole number')), z.transform(Number)),
)

/** The members of a question, in a query. */
export const question = {
  q: z.optional(
    z.string().check(
      z.minLength(1),
      z.maxLength(1000),
      z.refine((text) => wordsOf(text).length <= MAX_WORDS, `must have at most ${MAX_WORDS} words`),
    ),
  ),
  sort: z.optional(z.enum(SORTS)),
  type: z.optional(
    z
      .string()
      .check(
        z.maxLength(255),
        z.regex(/^[^\s/*]+\/(?:[^\s/*]+|\*)$/, 'must be a type such as image/png or image/*'),
      ),
  ),
  owner: z.optional(z.string().check(z.minLength(1), z.maxLength(1000))),
  createdAfter: date,
  createdBefore: date,
  minSize: size,
  maxSize: size,
  delimiter: z.optional(z.literal('/')),
}

export const groupBy = z.optional(z.enum(GROUPS))

/**
 * Returns the given members as one text, or undefined without one. Throws `invalid_request` for
 * folders of files that match something, since their totals are of all files.
 */
export function questionText(asked: Pick<FileQuery, keyof typeof question>): string | undefined {
  const names = Object.keys(question) as (keyof typeof question)[]
  const given = names.flatMap((name) =>
    asked[name] === undefined ? [] : [[name, asked[name]] as const],
  )
  const other = given.find(([name]) => name !== 'delimiter' && name !== 'sort')
  if (asked.delimiter !== undefined && other !== undefined)
    throw invalidMember('delimiter', `must not be given with ${other[0]}`)
  return given.length === 0 ? undefined : JSON.stringify(given)
}

/** Returns what the index answers. Throws `not_supported` for one that only lists, such as Workers KV. */
export function requireAnswers({ answers }: FileIndex): FileAnswers {
  if (answers !== undefined) return answers
  throw new ApiError(
    'not_supported',
    'Search, sort, filters, folders and totals need an index in D1. Bind FILES_DB, or use d1FileIndex (docs/files.md#search-sort-and-count-files).',
  )
}
