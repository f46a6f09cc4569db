/**
 * What the verifier needs of Node's crypto; the Worker's own types leave Node out, and src/ must
 * not see it.
 */
declare module 'node:crypto' {
  interface Digest {
    update(data: string): Digest
    digest(): Uint8Array
    digest(encoding: 'hex'): string
  }
  export function createHash(algorithm: 'sha256'): Digest
  export function createHmac(algorithm: 'sha256', key: string | Uint8Array): Digest
}
