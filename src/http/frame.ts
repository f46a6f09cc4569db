import type { H, Next } from 'hono/types'
import { complete, onError, onNotFound } from './answers.ts'
import type { AppContext } from './app-env.ts'
import { logRequest } from './request-log.ts'

const GO_ON = Promise.resolve()
const next: Next = () => GO_ON

/**
 * Joins the handlers that a request meets to one, with what every request needs: its id, its
 * errors, the headers of its answer, its line in the log. The id is never one that the client sends:
 * text from outside must not enter the log unchecked.
 *
 * The handlers run one after another until one answers. So `next()` is the last thing that a
 * middleware does; Hono's own way, a promise around all that follows, costs 300 bytes a middleware.
 */
export const frame = (handlers: readonly H[], route: string | undefined) =>
  async function frame(c: AppContext): Promise<Response> {
    const start = Date.now()
    c.set('requestId', crypto.randomUUID())
    let response: Response | undefined
    try {
      for (const handler of handlers) {
        const answer = handler(c, next)
        response = answer === GO_ON ? undefined : await answer
        if (response !== undefined) break
      }
      response = complete(c, response ?? onNotFound(c))
    } catch (thrown) {
      response = onError(thrown, c)
    }
    logRequest(c, route, response.status, Date.now() - start)
    return response
  }
