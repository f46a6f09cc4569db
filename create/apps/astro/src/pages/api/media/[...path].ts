import type { APIRoute } from 'astro'
import { media } from '../../../server/media'

export const prerender = false

/** Every method, also HEAD, PATCH and OPTIONS. */
export const ALL: APIRoute = ({ request }) => media.fetch(request, process.env)
