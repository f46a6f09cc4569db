import * as z from 'zod/mini'
import { purpose } from '../../access/purpose-key.ts'
import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import type { Refusal } from '../../access/verdict.ts'
import { MAX_PARTS } from '../../bucket/limits.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import type { ItemKind, Seen } from '../../state/item.ts'
import type { Ledger } from '../../state/ledger.ts'
import { type Remote, stateObject } from '../../state/object.ts'
import type { Filling, Limited, Session } from '../../state/reservation.ts'

/** Scopes of who creates a drop box, also later, when somebody uses it. */
export const BOX_SCOPES = ['drop-boxes:create', 'files:upload'] as const

/** Lifetime of the token of a page, in seconds. */
export const TOKEN_SECONDS = 600

/** Largest part. */
const MAX_BOX_PART_BYTES = 16 * 1024 ** 2

/** Largest file of a box. */
export const MAX_BOX_FILE_BYTES = MAX_PARTS * MAX_BOX_PART_BYTES

/** A drop box as its object keeps it. Its `owner` has the prefix of the box. */
export interface StoredBox extends Limited {
  /** The `name` of the settings with which it was created. */
  readonly instance: string
  /** Who asks for files: plain text. */
  readonly from: string
  readonly title: string
  readonly message: string | null
  readonly allowedTypes: readonly string[] | null
}

/** A drop box and what is in it. */
export type SeenBox = Seen<StoredBox> & Filling

/** The id of the principal of a box's senders. */
export const principalOf = (id: string): string => `drop-box:${id}`

export type BoxObject = Remote<Ledger<StoredBox>>

/** Returns the object of a box, or of a list. */
export const boxObject = (c: AppContext, name: string, locationHint?: string): BoxObject =>
  stateObject<Ledger<StoredBox>>(c, 'DropBoxes', name, locationHint)

export const DROP_BOXES: ItemKind<SeenBox> = {
  object: boxObject,
  noun: 'drop box',
  scopes: BOX_SCOPES,
  // So that its creator can see what arrived.
  keptSeconds: 30 * 86_400,
  about: ({ id, title }) => ({ dropBox: { id, label: title } }),
  // Nobody learns why it is.
  ended: (cause) =>
    new ApiError(
      'drop_box_closed',
      'This drop box is closed. Ask who sent you here for a new one.',
      { cause },
    ),
}

/** Returns what the owner has written about a drop box, which its visitors see too. */
export function termsOf(box: Omit<SeenBox, 'left'>) {
  const { from, title, message, deadline, maxFiles, maxBytes, maxTotalBytes, allowedTypes } = box
  return {
    from,
    title,
    message,
    deadline: new Date(deadline).toISOString(),
    maxFiles,
    maxBytes,
    maxTotalBytes,
    allowedTypes,
  }
}

/** Returns a drop box as its owner sees it. `base` is the URL before the path of its page. */
export function showBox(box: Omit<SeenBox, 'left'>, base: string) {
  const { id, secret, bucket, key, createdAt, wrongPasswords, received } = box
  return {
    id,
    url: `${base}/d/${secret}`,
    bucket,
    prefix: key,
    ...termsOf(box),
    hasPassword: box.password !== null,
    wrongPasswords,
    createdAt: new Date(createdAt).toISOString(),
    received,
  }
}

export const BOX_TOKEN_PREFIX = 'epd_'
const DROP_BOX = purpose('drop-box')

/** Strict, so that this version refuses a token with a member that a later one adds. */
const claimsSchema = z.strictObject({
  id: z.string(),
  network: z.string(),
  around: z.string(),
  sender: z.nullable(z.strictObject({ name: z.string(), note: z.string() })),
  exp: z.int(),
})

/** What the token of a page says: the public id of its box, and who sends. */
export interface BoxClaims extends Session {
  readonly id: string
}

/** Returns the token of a page. It expires at `exp`, in seconds since 1970. */
export const sealBoxToken = async (
  { signingSecrets }: SigningSettings,
  { id, network, around, sender }: BoxClaims,
  exp: number,
): Promise<string> =>
  BOX_TOKEN_PREFIX + (await seal(signingSecrets, DROP_BOX, { id, network, around, sender, exp }))

/** Returns what a token says and its expiry in seconds, or why it is refused. */
export async function openBoxToken(
  { signingSecrets }: SigningSettings,
  token: string,
  now: Date,
  graceSeconds: number,
): Promise<(BoxClaims & { readonly exp: number }) | Refusal> {
  const text = token.slice(BOX_TOKEN_PREFIX.length)
  const sealed = await unseal(signingSecrets, DROP_BOX, text, now, graceSeconds)
  if (!sealed.ok) return `token ${sealed.failure}`
  const claims = claimsSchema.safeParse(sealed.claims)
  return claims.success ? claims.data : 'token claims unusable'
}
