import { env } from '$env/dynamic/private'
import { media } from '../../../../lib/server/media'
import type { RequestHandler } from './$types'

// Vite reads .env during development. A built app has the variables of its process.
const variables = { ...env, ...process.env }

/** Every method, also HEAD, PATCH and OPTIONS. */
export const fallback: RequestHandler = ({ request }) => media.fetch(request, variables)
