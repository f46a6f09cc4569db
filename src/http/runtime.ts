/** Whether this is Cloudflare's runtime, which has special streams and headers. */
export const ON_WORKERS = typeof IdentityTransformStream !== 'undefined'

/**
 * Tells whether `fetch` reaches other Workers of the account by their public URLs, as the flag
 * `global_fetch_strictly_public` allows. Without it, they answer with error 1042. Always true
 * outside Workers.
 */
export function fetchIsPublic(): boolean {
  const runtime: unknown = Reflect.get(globalThis, 'Cloudflare')
  const flags: unknown = Reflect.get(Object(runtime), 'compatibilityFlags')
  return Reflect.get(Object(flags), 'global_fetch_strictly_public') !== false
}
