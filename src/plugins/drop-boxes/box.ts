import { MAX_PARTS } from '../../bucket/limits.ts'
import type { Seen } from '../../state/list.ts'
import type { Filling, Limited } from '../../state/reservation.ts'

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
