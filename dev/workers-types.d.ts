/** What `src/` takes from the types of Workers, for the program that runs on Node. */
import type { webcrypto } from 'node:crypto'

declare global {
  type CryptoKey = webcrypto.CryptoKey
  type SubtleCrypto = webcrypto.SubtleCrypto

  interface RequestInit {
    /** Workers only; Node ignores it. */
    encodeResponseBody?: 'automatic' | 'manual'
  }
}
