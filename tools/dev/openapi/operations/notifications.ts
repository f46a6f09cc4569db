import * as z from 'zod/mini'
import {
  eventBridgeSchema,
  recordSchema,
} from '../../../../src/plugins/notifications/notification.ts'
import { settledNotifications } from '../answers.ts'
import type { Operations } from '../operation.ts'

/** The body in one of two formats. The handler reads it by hand, and drops what it can't use. */
const notificationBody = z.object({
  Records: z.optional(z.array(recordSchema).check(z.maxLength(10))),
  ...z.partial(eventBridgeSchema).shape,
})

export const notificationOperations: Operations = {
  'POST /notifications': {
    id: 'receiveNotifications',
    tag: 'notifications',
    summary: 'Report what happened in a bucket',
    description:
      "For S3 servers, not for clients. Needs one of `NOTIFICATION_SECRETS`, as a Bearer token or as the password of Basic authentication; other credentials are not accepted. Without that setting, the route doesn't exist. The body is JSON of at most 256 KiB: S3's event notifications with at most 10 `Records`, or S3's event from Amazon EventBridge. A notification is only a hint. The Worker asks the bucket itself. It drops what it can't use, and still answers 200, because servers repeat a notification after an error. It answers 503 while the object or the event is younger than 90 seconds.",
    body: notificationBody,
    members: {
      Records: {
        description:
          "S3's event notifications. All of these members except `eventSource` are required in each. With `eventSource` `ceph:s3`, the key is not encoded, otherwise as in a form.",
      },
      source: { description: 'In place of `Records`, with the three members below: EventBridge.' },
      'detail-type': { description: '`Object Created` or `Object Deleted`. Others are dropped.' },
      time: { description: 'When it happened, ISO 8601.' },
      detail: { description: 'The bucket, and the object with its key as it is.' },
    },
    answers: { 200: { description: 'What the Worker did with them.', body: settledNotifications } },
    errors: [
      'invalid_request',
      'unauthenticated',
      'unsupported_media_type',
      'rate_limited',
      'storage_error',
      'unavailable',
    ],
  },
}
