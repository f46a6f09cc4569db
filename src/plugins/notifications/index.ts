import type { Plugin } from '../../plugin.ts'
import { notificationRoutes } from './routes.ts'

/** `POST /notifications`, where an S3 server reports uploads and deletes. */
export const notifications = (): Plugin => ({ name: 'notifications', open: notificationRoutes })
