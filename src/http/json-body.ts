import { ApiError } from '../errors/api-error.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

/**
 * The JSON in the body of `request`, at most `maxBytes` of UTF-8, counted while they are read.
 * Throws `unsupported_media_type`, `body_too_large` and `malformed_json`.
 */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const mediaType = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json')
    throw new ApiError('unsupported_media_type', 'Send JSON with Content-Type: application/json.')
  const bytes = await readBytes(request, maxBytes)
  try {
    return JSON.parse(decoder.decode(bytes))
  } catch {
    throw new ApiError('malformed_json', 'The body is not JSON.')
  }
}

/** What arrives is counted; Content-Length only says how much room to make. */
async function readBytes({ body, headers }: Request, maxBytes: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array()
  const stated = headers.get('content-length') ?? ''
  const room = Math.min(/^\d+$/.test(stated) ? Number(stated) : maxBytes, maxBytes) + 1
  const reader = body.getReader({ mode: 'byob' })
  const { value } = await reader.readAtLeast(room, new Uint8Array(room))
  if (value === undefined || value.byteLength < room) return value ?? new Uint8Array()
  await reader.cancel()
  throw new ApiError('body_too_large', `The body may have at most ${maxBytes} bytes.`)
}
