import * as z from 'zod/mini'
import { requirePrefix, requireScope } from '../../access/principal.ts'
import { sixAtOnce } from '../../bucket/at-once.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { digits, usually } from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { openListCursor, sealListCursor } from '../../state/list.ts'
import { callObject, stateObject } from '../../state/object.ts'
import { isPublicId } from '../../state/secret-id.ts'
import type { Upkeep } from './cloudflare.ts'
import { replay } from './dead-letter-queue.ts'
import { DEAD_LETTERS, letterBody } from './dead-letters.ts'

const MAX_PAGE = 100
const MAX_REPLAYS = 20
/** No replay begins with less time than this: one takes up to 15 seconds. */
const NEEDED_MILLISECONDS = 16_000

const listQuery = z.strictObject({
  limit: z.pipe(usually(digits, 50), z.int().check(z.minimum(1), z.maximum(MAX_PAGE))),
  cursor: z.optional(z.string()),
})

const replaySchema = z.strictObject({
  ids: z
    .array(z.string().check(z.refine(isPublicId, 'must be the id of a dead letter')))
    .check(z.minLength(1), z.maxLength(MAX_REPLAYS)),
})

/** Lists and replays dead letters. They are about files of all buckets and prefixes. */
export const deadLetterRoutes = newApp()
  .get('/upkeep/dead-letters', validateQuery(listQuery), async (c) => {
    requireAll(c)
    const { limit, cursor } = c.req.valid('query')
    const settings = c.get('settings')
    const scope = { list: 'dead letters', principal: c.get('principal').id } as const
    const start = await openListCursor(settings, scope, cursor)
    const { letters, next } = await callObject(c, () => letterObject(c).deadLetters(limit, start))
    return json(c, {
      deadLetters: letters.map(letterBody),
      ...(next && { cursor: await sealListCursor(settings, scope, next) }),
    })
  })
  .post('/upkeep/dead-letters/replay', validateJson(replaySchema), async (c) => {
    requireAll(c)
    const { instance } = c.env
    const ids = [...new Set(c.req.valid('json').ids)]
    const letters = await callObject(c, () => letterObject(c).deadLettersBy(ids))
    const results = await sixAtOnce(ids, async (id) => {
      const letter = letters.find((one) => one.id === id)
      if (letter === undefined) return { id, outcome: 'missing' }
      if (c.env.deadline - Date.now() < NEEDED_MILLISECONDS) return { id, outcome: 'waiting' }
      const reason = await replay(letter, instance, c.executionCtx)
      await callObject(c, () => letterObject(c).settleDeadLetter(letter, reason))
      return reason === null ? { id, outcome: 'replayed' } : { id, outcome: 'failed', reason }
    })
    return json(c, { results })
  })

/** Throws `forbidden` unless the principal may run upkeep in all buckets, and below every prefix. */
function requireAll(c: AppContext): void {
  const principal = c.get('principal')
  requireScope(principal, 'upkeep:run')
  requirePrefix(principal, '')
  if (principal.limits.buckets !== null)
    throw new ApiError(
      'forbidden',
      'Dead letters are about all buckets. This key is limited to some.',
    )
}

/** Returns the object that keeps dead letters. */
export const letterObject = (c: AppContext): Upkeep =>
  stateObject<Upkeep>(c, 'Upkeep', DEAD_LETTERS)
