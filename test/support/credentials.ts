import type { Scope } from '../../src/access/scopes.ts'
import { toBase64url, toHex } from './base64.ts'

/** An API key as the client has it, and its entry in the configuration. */
export interface TestApiKey {
  readonly token: string
  readonly entry: {
    readonly id: string
    readonly sha256: string
    readonly scopes: readonly Scope[]
    readonly prefix: string
  }
}

export async function testApiKey(
  id: string,
  scopes: readonly Scope[],
  prefix = '',
): Promise<TestApiKey> {
  const secret = toBase64url(crypto.getRandomValues(new Uint8Array(32)))
  const token = `ep_${id}_${secret}`
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  return { token, entry: { id, sha256: toHex(digest), scopes, prefix } }
}

/** Returns `init` for a request with a Bearer token. */
export const bearer = (token: string): RequestInit => ({
  headers: { Authorization: `Bearer ${token}` },
})
