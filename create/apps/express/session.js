/** Returns the user of a request, or null. Replace it with your own login. */
export const currentUser = async (_request) => ({ id: 'demo' })
