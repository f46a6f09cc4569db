import type { Option, Plugin } from '../../plugin.ts'
import { notEmpty } from '../../settings/rules.ts'
import type { Files } from '../files/index.ts'
import { consumeNotifications } from './cloudflare.ts'
import { notificationSecretsRule } from './notification-secret.ts'
import { notificationRoutes, SECRETS } from './routes.ts'

export interface NotificationsOptions<B> {
  /** The plugin that keeps the records. */
  readonly files: Files<B>
  /** `secret[,secret]` for `POST /notifications`. Without it, there is no such route. */
  readonly secrets?: Option<string | undefined, B>
  /**
   * Start of the names of queues with R2's event notifications, which `presigner.queue` handles.
   * Default: `edge-presigner-notifications`.
   */
  readonly queueName?: string
}

/** What buckets report: `POST /notifications` of an S3 server, and R2's queue. */
export const notifications = <B = unknown>(options: NotificationsOptions<B>): Plugin<B> => ({
  name: 'notifications',
  plugins: [options.files],
  open: notificationRoutes,
  setup(setup) {
    setup.only('notifications', options, ['files', 'secrets', 'queueName'])
    const { read } = setup
    const secrets = read('notifications.secrets', options.secrets, notificationSecretsRule)
    const queueName = read('notifications.queueName', options.queueName, notEmpty)
    SECRETS.keep(setup, secrets ?? [])
    return {
      queue: {
        name: queueName ?? 'edge-presigner-notifications',
        handle: (batch, instance, context) =>
          consumeNotifications(batch, instance, instance.objects(context), context, new Date()),
      },
    }
  },
})
