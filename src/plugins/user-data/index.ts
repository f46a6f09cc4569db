import type { Option, Plugin } from '../../plugin.ts'
import { whole } from '../../settings/rules.ts'
import type { Upkeep } from '../upkeep/index.ts'
import { OPTIONS, userDataRoutes } from './routes.ts'

export interface UserDataOptions<B> {
  /** Upkeep keeps the records that it drops. With it, they are deleted too. */
  readonly upkeep?: Upkeep<B>
  /**
   * Requests to the bucket that one call of `POST /files/delete-all` may send: 20 to 10,000. Default:
   * 45, since a Worker on Cloudflare's free plan may send 50. The next call goes on.
   */
  readonly maxRequests?: Option<number | undefined, B>
}

const DEFAULT_REQUESTS = 45

/** One person's data: `POST /files/delete-all` and `GET /export`, for everything below a prefix. */
export const userData = <B = unknown>(options: UserDataOptions<B> = {}): Plugin<B> => ({
  name: 'userData',
  ...(options.upkeep && { plugins: [options.upkeep] }),
  api: userDataRoutes,
  setup(setup) {
    setup.only('userData', options, ['upkeep', 'maxRequests'])
    const requests = setup.read('userData.maxRequests', options.maxRequests, whole(20, 10_000))
    OPTIONS.keep(setup, {
      requests: requests ?? DEFAULT_REQUESTS,
      forgetDropped: options.upkeep?.forgetDropped,
    })
    return {}
  },
})
