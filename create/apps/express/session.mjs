/** Returns the user of a request, or null. Replace it with your own login. */
export async function currentUser({ headers }) {
  const isHere = /^localhost(?::|$)/.test(headers.host) && process.env.NODE_ENV !== 'production'
  if (!isHere) throw new Error('Replace the login in session.mjs: everybody is the user "demo".')
  return { id: 'demo' }
}
