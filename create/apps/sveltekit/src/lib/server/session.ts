import { dev } from '$app/environment'

/**
 * Returns the user who is logged in, or null. Replace it with your own login:
 * `getRequestEvent().locals`, from `$app/server`, has what your hooks have set.
 */
export async function currentUser(): Promise<{ id: string } | null> {
  if (!dev) throw new Error('Replace the login in session.ts: everybody is the user "demo".')
  return { id: 'demo' }
}
