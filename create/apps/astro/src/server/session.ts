/** Returns the user of a request, or null. Replace it with your own login. */
export const currentUser = async (_request: Request): Promise<{ id: string } | null> => ({
  id: 'demo',
})
