import type { FileRecord } from '../answers/files.ts'
import { isFileRecord } from '../answers/files.ts'
import { type Check, isEither, isObject, isString } from '../check.ts'
import { parse } from '../json.ts'
import { PresignerError } from '../presigner-error.ts'

const TOLERANCE_SECONDS = 300
/** More signatures than a rotation of secrets ever needs. */
const MAX_SIGNATURES = 20

/** Node's types have no `CryptoKey`. */
type HmacKey = Awaited<ReturnType<typeof importSecret>>

interface Asked {
  /** Id of the principal; null for a bucket notification. */
  principal: string | null
  /** The `subject` of the token, such as your user's id. */
  subject: string | null
  /** The `context` of the token. */
  context: unknown
}

interface FileKey {
  bucket: string
  key: string
}

/** What happened to a file. `from` is the source of a copy or a move. */
export type WebhookEvent = {
  /** The `webhook-id`: the same for each delivery of one event. */
  id: string
  /** When it was sent, ISO 8601 in UTC. */
  timestamp: string
} & (
  | { type: 'file.recorded' | 'file.replaced' | 'file.renamed'; data: Asked & { file: FileRecord } }
  | { type: 'file.copied' | 'file.moved'; data: Asked & { file: FileRecord; from: FileKey } }
  | { type: 'file.deleted'; data: Asked & { file: FileKey } }
  | {
      type: 'grant.used'
      data: Asked & {
        file: FileKey
        /** `usesLeft` is null for any number. */
        grant: { id: string; label: string | null; usesLeft: number | null }
        country: string | null
      }
    }
  | {
      type: 'grant.guessed' | 'drop-box.guessed'
      data: Asked & {
        /** For a drop box, `key` is its prefix. */
        file: FileKey
        grant?: { id: string; label: string | null }
        dropBox?: { id: string; label: string | null }
        /** How many passwords were wrong until now: 10, 100, 1000 and so on. */
        wrongPasswords: number
        country: string | null
      }
    }
  | {
      type: 'drop-box.received'
      data: Asked & {
        file: FileRecord
        dropBox: { id: string; label: string | null }
        /** What the sender wrote: plain text that nobody has checked. */
        sender: { name: string; note: string } | null
        country: string | null
      }
    }
)

/** The request of a webhook: its headers, from Node or the web, and its body as it was sent. */
export interface WebhookRequest {
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: string | Uint8Array
}

export interface WebhookOptions {
  /** Seconds that the timestamp may be wrong, in both directions. Default: 300. */
  readonly tolerance?: number | undefined
}

const isNull: Check<null> = (value): value is null => value === null
const isText = isEither(isString, isNull)
const asked = { principal: isText, subject: isText, context: (_: unknown): _ is unknown => true }
const isEnvelope = isObject<{ type: string; timestamp: string; data: object }>({
  type: isString,
  timestamp: isString,
  data: isObject({}),
})
const isFileData = isObject<Asked & { file: FileRecord }>({ ...asked, file: isFileRecord })
const isNamed = isObject({ id: isString })
const isKey = isObject<FileKey>({ bucket: isString, key: isString })
const isKeyData = isObject({ ...asked, file: isKey })

/** The check of the data of each event. */
const DATA: Readonly<Record<string, Check<object>>> = {
  'file.recorded': isFileData,
  'file.replaced': isFileData,
  'file.renamed': isFileData,
  'file.copied': isObject({ ...asked, file: isFileRecord, from: isKey }),
  'file.moved': isObject({ ...asked, file: isFileRecord, from: isKey }),
  'file.deleted': isKeyData,
  'grant.used': isObject({ ...asked, file: isKey, grant: isNamed }),
  'drop-box.received': isObject({ ...asked, file: isFileRecord, dropBox: isNamed }),
  'grant.guessed': isKeyData,
  'drop-box.guessed': isKeyData,
} satisfies Record<WebhookEvent['type'], unknown>

/** Accepts an event, even of a type that only a newer Worker sends. */
const isEvent: Check<Omit<WebhookEvent, 'id'>> = (value): value is Omit<WebhookEvent, 'id'> =>
  isEnvelope(value) && (!Object.hasOwn(DATA, value.type) || DATA[value.type]?.(value.data) === true)

/**
 * Checks a webhook by the Standard Webhooks specification and returns its event. `secrets` are the
 * endpoint's signing secrets (`whsec_…`): one, or several during a rotation. Reads the body of a
 * `Request`. Throws PresignerError `invalid_webhook` with a `reason`: `headers`, `timestamp`,
 * `signature` or `body`. Throws `invalid_options` for a secret or body that can't be right.
 */
export async function verifyWebhook(
  request: Request | WebhookRequest,
  secrets: string | readonly string[],
  { tolerance = TOLERANCE_SECONDS }: WebhookOptions = {},
): Promise<WebhookEvent> {
  const keys = await Promise.all([secrets].flat().map(importSecret))
  if (keys.length === 0) throw invalid('There is no secret.')
  const [id, timestamp, signature] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map(
    (name) => headerOf(request.headers, name),
  )
  if (!id || !timestamp || !signature || !/^\d{1,12}$/.test(timestamp))
    throw refused(
      'headers',
      'webhook-id, webhook-timestamp or webhook-signature is missing or malformed.',
    )
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= tolerance))
    throw refused(
      'timestamp',
      `The timestamp is more than ${tolerance} seconds off the clock here.`,
    )
  const body =
    request instanceof Request ? new Uint8Array(await request.arrayBuffer()) : bytesOf(request.body)
  const head = new TextEncoder().encode(`${id}.${timestamp}.`)
  const signed = new Uint8Array(head.length + body.length)
  signed.set(head)
  signed.set(body, head.length)
  if (!(await isSigned(keys, signature, signed)))
    throw refused(
      'signature',
      'No signature matches. Check that the secret is the one of this endpoint, and that the body is unchanged.',
    )
  const event = parse(new TextDecoder().decode(body))
  if (!isEvent(event)) throw refused('body', 'The body is not an event of edge-presigner.')
  return { ...event, id } as WebhookEvent
}

/** Tells whether one of the signatures `v1,…` is of one of the keys. WebCrypto compares in constant time. */
async function isSigned(
  keys: readonly HmacKey[],
  signatures: string,
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  for (const one of signatures.split(' ').slice(0, MAX_SIGNATURES)) {
    const mac = one.startsWith('v1,') ? fromBase64(one.slice(3)) : null
    if (mac === null) continue
    for (const key of keys) if (await crypto.subtle.verify('HMAC', key, mac, signed)) return true
  }
  return false
}

async function importSecret(secret: string) {
  if (!secret) throw invalid('secret: missing. Pass the whsec_… of this endpoint.')
  const bytes = typeof secret === 'string' ? fromBase64(secret.replace(/^whsec_/, '')) : null
  if (bytes === null || bytes.length === 0) throw invalid('secret: not whsec_ and bytes in base64.')
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
}

function headerOf(headers: WebhookRequest['headers'], name: string): string | undefined {
  if (headers instanceof Headers) return headers.get(name) ?? undefined
  const [, value] = Object.entries(headers).find(([other]) => other.toLowerCase() === name) ?? []
  return typeof value === 'string' ? value : undefined
}

function bytesOf(body: unknown): Uint8Array {
  if (typeof body === 'string') return new TextEncoder().encode(body)
  if (body instanceof Uint8Array) return body
  throw invalid('body: pass the text or bytes as sent, not parsed JSON.')
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return null
  }
}

const refused = (reason: string, message: string): PresignerError =>
  new PresignerError('invalid_webhook', message, { reason })

const invalid = (message: string): PresignerError => new PresignerError('invalid_options', message)
