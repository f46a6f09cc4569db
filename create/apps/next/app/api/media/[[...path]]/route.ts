import { media } from '../../../../lib/media'

export const GET = (request: Request) => media.fetch(request, process.env)
export { GET as DELETE, GET as HEAD, GET as OPTIONS, GET as PATCH, GET as POST, GET as PUT }
