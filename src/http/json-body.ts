import { ApiError } from '../errors/api-error.ts'

/**
 * The JSON in the body of `request`, at most `maxBytes` of UTF-8, counted while they are read. Throws
 * `unsupported_media_type`, `body_too_large` and `malformed_json`.
 */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const mediaType = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json')
    throw new ApiError('unsupported_media_type', 'Send JSON with Content-Type: application/json.')
  const bytes = await readBytes(request, maxBytes)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes))
  } catch {
    throw new ApiError('malformed_json', 'The body is not JSON.')
  }
}

async function readBytes({ body }: Request, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body ?? []) {
    length += chunk.byteLength
    if (length > maxBytes)
      throw new ApiError('body_too_large', `The body may have at most ${maxBytes} bytes.`)
    chunks.push(chunk)
  }
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return bytes
}
