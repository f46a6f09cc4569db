/** Returns the user who is logged in, or null. Replace it with your own login. */
export async function currentUser(): Promise<{ id: string } | null> {
  if (process.env.NODE_ENV === 'production')
    throw new Error('Replace the login in lib/session.ts: everybody is the user "demo".')
  return { id: 'demo' }
}
