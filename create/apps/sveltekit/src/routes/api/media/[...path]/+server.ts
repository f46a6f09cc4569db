import { env } from '$env/dynamic/private'
import { media } from '$lib/server/media'
import type { RequestHandler } from './$types'

/** Every method, also HEAD, PATCH and OPTIONS. */
export const fallback: RequestHandler = ({ request }) => media.fetch(request, env)
