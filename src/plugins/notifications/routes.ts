import { reasonFor } from '../../access/verdict.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { purgeNow } from '../../core/purge.ts'
import { ApiError, asApiError, invalidMember } from '../../errors/api-error.ts'
import { configure } from '../../http/admit.ts'
import { type AppContext, Kept } from '../../http/app-env.ts'
import { afterOf, fileIndexOf, timeOf } from '../../http/deadline.ts'
import { newApp } from '../../http/new-app.ts'
import { countNetwork } from '../../http/rate-limit.ts'
import { addWarning } from '../../http/request-log.ts'
import { json } from '../../http/responses.ts'
import { readBody } from '../../http/validate.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type Drop, type Notification, readS3Body } from './notification.ts'
import { refuseSender } from './notification-secret.ts'
import { recordAllNotified, recorderOf, summarize } from './record-notified.ts'

/** The secrets of the servers that send notifications. */
export const SECRETS = new Kept<readonly string[]>()

const MAX_BODY_BYTES = 256 * 1024
/** A request may cause only so many requests to the bucket and to KV. Servers send one record. */
const MAX_RECORDS = 10

/** Receives notifications by their own secret. Drops unusable ones with 200: errors repeat them. */
export const notificationRoutes = newApp().post('/notifications', async (c, next) => {
  const settings = await configure(c)
  const secrets = SECRETS.of(c.env.instance) ?? []
  // Without a secret there is no such route, and the API answers.
  if (secrets.length === 0) return next()
  const refusal = await refuseSender(c.req.header('Authorization'), secrets)
  if (refusal !== null) {
    await countNetwork(c)
    throw new ApiError('unauthenticated', 'The secret for notifications is required.', {
      reason: reasonFor(refusal),
      cause: refusal,
    })
  }
  const notifications = await readNotifications(c)
  const purge = (...copies: [ConfiguredBucket, readonly ObjectKey[]]) => purgeNow(c, ...copies)
  const [index, after] = [fileIndexOf(c), afterOf(c)]
  const recorder = recorderOf(settings.buckets, index, { purge }, after, c.executionCtx)
  const results = await recordAllNotified(recorder, notifications, timeOf(c))
  const { counts, warnings } = summarize(results)
  for (const warning of warnings) addWarning(c, warning)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  const waits = results.map((result) => (result.status === 'fulfilled' ? result.value : 0))
  const retryAfterSeconds = Math.max(...waits.filter((wait) => typeof wait === 'number'), 0)
  if (retryAfterSeconds > 0)
    throw new ApiError('unavailable', 'The object is too young. Repeat this later.', {
      reason: 'notification',
      retryAfterSeconds,
    })
  return json(c, { counts })
})

async function readNotifications(c: AppContext): Promise<(Notification | Drop)[]> {
  let body: unknown
  try {
    body = await readBody(c, MAX_BODY_BYTES)
  } catch (error) {
    const code = asApiError(error)?.code
    if (code !== 'malformed_json' && code !== 'body_too_large') throw error
    return ['malformed']
  }
  const notifications = readS3Body(body)
  if (notifications.length > MAX_RECORDS)
    throw invalidMember('Records', `must have at most ${MAX_RECORDS} items`)
  return notifications
}
