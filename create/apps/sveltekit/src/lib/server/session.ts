/**
 * Returns the user who is logged in, or null. Replace it with your own login:
 * `getRequestEvent().locals`, from `$app/server`, has what your hooks have set.
 */
export const currentUser = async (): Promise<{ id: string } | null> => ({ id: 'demo' })
