import { currentUser } from '$lib/server/session'

/** Tells the page who is logged in. */
export const load = async () => ({ user: (await currentUser())?.id ?? null })
