/** Whether this is Cloudflare's runtime, which has special streams and headers. */
export const ON_WORKERS = typeof IdentityTransformStream !== 'undefined'

/**
 * Tells whether `fetch` can reach other Workers of the account by their public URLs: the flag
 * `global_fetch_strictly_public`. Otherwise, it is error 1042. Outside of Workers, it always can.
 */
export function fetchIsPublic(): boolean {
  const runtime: unknown = Reflect.get(globalThis, 'Cloudflare')
  const flags: unknown = Reflect.get(Object(runtime), 'compatibilityFlags')
  return Reflect.get(Object(flags), 'global_fetch_strictly_public') !== false
}
