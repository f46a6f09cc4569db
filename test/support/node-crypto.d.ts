/**
 * The part of Node's crypto that the verifier needs. The Worker's types exclude Node, and src/ must
 * not see it.
 */
declare module 'node:crypto' {
  interface Digest {
    update(data: string): Digest
    digest(): Uint8Array
    digest(encoding: 'hex'): string
  }
  export function createHash(algorithm: 'md5' | 'sha256'): Digest
  export function createHmac(algorithm: 'sha256', key: string | Uint8Array): Digest
}
