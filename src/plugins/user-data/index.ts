import type { Option, Plugin } from '../../plugin.ts'
import { whole } from '../../settings/rules.ts'
import { OPTIONS, userDataRoutes } from './routes.ts'

export interface UserDataOptions<B> {
  /**
   * Requests to the bucket that one call of `POST /files/delete-all` may send: 20 to 10,000. Default:
   * 45, since a Worker on Cloudflare's free plan may send 50. The next call goes on.
   */
  readonly maxRequests?: Option<number | undefined, B>
}

const DEFAULT_REQUESTS = 45

/**
 * One person's data: `POST /files/delete-all` and `GET /export`, for everything below a prefix. Next to
 * `upkeep()`, the records that it has dropped are deleted too.
 */
export const userData = <B = unknown>(options: UserDataOptions<B> = {}): Plugin<B> => ({
  name: 'userData',
  api: userDataRoutes,
  setup(setup) {
    setup.only('userData', options, ['maxRequests'])
    const requests = setup.read('userData.maxRequests', options.maxRequests, whole(20, 10_000))
    OPTIONS.keep(setup, { requests: requests ?? DEFAULT_REQUESTS })
    return {}
  },
})
