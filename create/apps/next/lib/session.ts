/** Returns the user who is logged in, or null. Replace it with your own login. */
export const currentUser = async (): Promise<{ id: string } | null> => ({ id: 'demo' })
