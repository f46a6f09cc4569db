import { fromBase64 } from './base64.ts'

/**
 * Returns what the holder of a sealed text can read: the text, its segments, and every string in
 * them, also decoded from base64url, recursively.
 */
export const readableIn = (sealed: string): string[] => [
  sealed,
  ...sealed.split('.').flatMap(stringsIn),
]

function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value, ...decoded(value)]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(stringsIn)
}

function decoded(text: string): string[] {
  if (!/^[\w-]{2,}$/.test(text)) return []
  try {
    const bytes = fromBase64(text)
    const plain = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    try {
      return stringsIn(JSON.parse(plain))
    } catch {
      return [plain]
    }
  } catch {
    return []
  }
}
