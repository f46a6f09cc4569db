import * as z from 'zod/mini'
import { type Purpose, purpose } from '../../access/purpose-key.ts'
import { seal, unsealAs } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { objectHeaders } from '../../http/fields.ts'
import type { Json } from '../../keys/encodings.ts'

const FORM = purpose('form')
const STEP_URL = purpose('step')

/** What a form and a URL have in common. */
const OWNED = {
  /** Alias of the bucket. */
  bucket: z.string(),
  /** Id of the principal. */
  owner: z.string(),
  context: z.optional(z.custom<Json>()),
}

/** Only for a chosen key. */
const CHOICE = {
  /** Whether an upload may replace an object. */
  overwrite: z.optional(z.boolean()),
  /** Whether the app chose it. */
  byApp: z.optional(z.boolean()),
}
const texts = z.catchall(z.object({}), z.string())

/** Strict, as the next ones: this version refuses a seal with a member that a later one adds. */
const formSchema = z.strictObject({
  ...OWNED,
  name: z.string(),
  maxBytes: z.int(),
  ...CHOICE,
  /** Exactly the fields that the form must have, by their names in lower case. */
  fields: z.catchall(z.object({ key: z.string() }), z.string()),
})

/** The principal's own limit, if it has one. */
const STEP = { ...OWNED, key: z.string(), maxBytes: z.optional(z.int()) }

const startSchema = z.strictObject({
  ...STEP,
  file: z.strictObject({
    fileName: z.string(),
    mimetype: z.string(),
    metadata: z.optional(texts),
    ...objectHeaders,
    headers: z.optional(texts),
    size: z.nullable(z.int()),
    ...CHOICE,
  }),
})

const completeSchema = z.strictObject({ ...STEP, uploadId: z.string() })

/** What the holder of a form may upload. */
export type FormPolicy = z.output<typeof formSchema>

/** What the holder of a URL may do: start one upload in parts, or complete one. */
export type SignedStep = z.output<typeof startSchema> | z.output<typeof completeSchema>

/** Returns a function that seals what a client gets. Its holder can read it, and use it for `seconds`. */
const sealer =
  <Claims extends object>(purpose: Purpose) =>
  ({ signingSecrets }: SigningSettings, claims: Claims, seconds: number, now: Date) =>
    seal(signingSecrets, purpose, { ...claims, exp: Math.floor(now.getTime() / 1000) + seconds })

/** Returns a function that opens a seal. Throws `forbidden` if it is invalid or has expired. */
const opener =
  <Schema extends z.ZodMiniType>(purpose: Purpose, schema: Schema) =>
  ({ signingSecrets }: SigningSettings, sealed: string, now: Date) =>
    unsealAs(signingSecrets, purpose, schema, sealed, now)

export const sealFormPolicy = sealer<FormPolicy>(FORM)
export const openFormPolicy = opener(FORM, formSchema)

export const sealStep = sealer<SignedStep>(STEP_URL)
export const openStart = opener(STEP_URL, startSchema)
export const openComplete = opener(STEP_URL, completeSchema)
