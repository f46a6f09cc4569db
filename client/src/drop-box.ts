import { isDropBoxToken } from './answers/drop-box.ts'
import { createApi } from './api.ts'
import { createTokens } from './box-tokens.ts'
// Not from their own files: the build would create another script for these.
import { uploadsWith } from './client.ts'
import { type Client, createClient, PresignerError } from './index.ts'
import type { DropBoxTerms, DropBoxVisitor } from './sharing-calls.ts'
import { createTurns } from './turns.ts'

/** How many unfinished files the API allows one sender. */
const MOST_FILES = 4

export interface OpenDropBox extends DropBoxTerms {
  /** Uploads to the box, and can do nothing else. Its token renews itself. */
  readonly client: Client
}

/**
 * Opens the drop box at `url`, for a visitor who knows this secret URL: `https://…/d/…`. Throws
 * PresignerError: `password_wrong`, `drop_box_closed`, and `rate_limited` after too many wrong
 * passwords. No message has the secret.
 */
export async function openDropBox(
  url: string | URL,
  { password, sender }: DropBoxVisitor = {},
): Promise<OpenDropBox> {
  const { origin, boxUrl, shownUrl, secret } = parseBoxUrl(url)
  const ask = createApi({ baseUrl: boxUrl }, { shownUrl })
  const body = { password, sender }
  const current = createTokens(() => ask(isDropBoxToken, 'POST', '/token', { body }))
  const token = async (refused?: string) => (await current(refused)).token

  const { endpoint, bucket, expiresAt: _, token: __, ...terms } = await current()
  const api = new URL(endpoint, boxUrl)
  // The box may be a stranger's, who must not make this page send its user's cookies.
  const credentials = api.origin === origin ? undefined : 'omit'
  // So that the same file in another box doesn't resume this upload.
  api.hash = await idOf(secret)
  const client = createClient({ baseUrl: api.href, bucket, token, credentials })
  // Half of the box: the API would refuse more for up to a minute, even if an upload ends sooner.
  const mostFiles = Math.min(MOST_FILES, Math.ceil(terms.maxFiles / 2))
  const inTurn = createTurns(mostFiles, terms.maxTotalBytes / 2)
  const uploads = uploadsWith(() => ({
    run: (file, options, kept) =>
      inTurn(file.size, options.signal, () =>
        // A box takes files only in parts.
        client.upload(file, { ...options, multipart: true, sha256: undefined }, kept),
      ),
  }))
  return { ...terms, client: { ...client, ...uploads } }
}

/** Returns the URL without its query and fragment, and its name for messages. */
function parseBoxUrl(url: string | URL) {
  const base = globalThis.location?.href
  const { origin, pathname } = URL.canParse(url, base) ? new URL(url, base) : { pathname: '' }
  const [, path, secret] = /^(.*\/d\/)([\w-]+)\/?$/.exec(pathname) ?? []
  if (origin === undefined || path === undefined || secret === undefined)
    throw new PresignerError(
      'invalid_options',
      'url: not the URL of a drop box, such as https://files.example.com/d/…',
    )
  return { origin, boxUrl: origin + path + secret, shownUrl: `${origin}${path}…`, secret }
}

/** Returns the box's id in the API. Empty outside of a secure context, where no upload resumes. */
async function idOf(secret: string): Promise<string> {
  const digest = await crypto.subtle?.digest('SHA-256', new TextEncoder().encode(secret))
  const bytes = new Uint8Array(digest ?? 0).subarray(0, 16)
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
