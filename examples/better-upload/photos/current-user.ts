/** Returns the id of the user who is logged in, or null. Replace this with your own login. */
export const currentUser = (): string | null => 'demo'
