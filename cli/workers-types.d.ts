/** The types of Workers that `src/` uses, for the program that runs on Node. */
import type { webcrypto } from 'node:crypto'

declare global {
  type CryptoKey = webcrypto.CryptoKey
  type SubtleCrypto = webcrypto.SubtleCrypto

  interface RequestInit {
    /** Only for Workers. Node ignores it. */
    encodeResponseBody?: 'automatic' | 'manual'
  }
}
