/** Returns the id of the user who is logged in, or null. Replace it by your own login. */
export const currentUser = (): string | null => 'demo'
