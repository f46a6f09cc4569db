/** Returns the user of a request, or null. Replace it with your own login. */
export async function currentUser(_request: Request): Promise<{ id: string } | null> {
  if (import.meta.env.PROD)
    throw new Error('Replace the login in src/server/session.ts: everybody is the user "demo".')
  return { id: 'demo' }
}
