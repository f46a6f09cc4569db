import type { Option, Plugin } from '../../plugin.ts'
import { whole } from '../../settings/rules.ts'
import { copyRoutes, MAX_REQUESTS } from './routes.ts'

export interface CopiesOptions<B> {
  /**
   * Requests to buckets that one call may send: 20 to 10,000. Default: 45, since a Worker on
   * Cloudflare's free plan may send 50. That is four copies or two moves. Files that are left get
   * an error, and can be sent again.
   */
  readonly maxRequests?: Option<number | undefined, B>
}

const DEFAULT_REQUESTS = 45

/**
 * `POST /files/copy` and `POST /files/move`: the server of the bucket copies, without the Worker. Moves
 * need an index that can lock keys.
 */
export const copies = <B = unknown>(options: CopiesOptions<B> = {}): Plugin<B> => ({
  name: 'copies',
  api: copyRoutes,
  setup(setup) {
    setup.only('copies', options, ['maxRequests'])
    const requests = setup.read('copies.maxRequests', options.maxRequests, whole(20, 10_000))
    MAX_REQUESTS.keep(setup, requests ?? DEFAULT_REQUESTS)
    return {}
  },
})
