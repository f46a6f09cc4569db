import { PresignerError, verifyWebhook, type WebhookEvent } from 'edge-presigner-client/server'
import { applyEvent, type FileEvent, forgetDeleted } from './file-events'

interface Env {
  readonly DB: D1Database
  /** `whsec_…`, or two with a space between them during a rotation. */
  readonly WEBHOOK_SECRET: string
}

export default {
  /** Any status except 2xx makes the presigner send the event again. */
  async fetch(request, { DB, WEBHOOK_SECRET }): Promise<Response> {
    const route = `${request.method} ${new URL(request.url).pathname}`
    if (route !== 'POST /webhooks/files') return new Response('Not found', { status: 404 })
    try {
      const event = await verifyWebhook(request, WEBHOOK_SECRET.split(' '))
      const fileEvent = fileEventOf(event)
      if (fileEvent) await applyEvent(DB, fileEvent, event.timestamp)
      return new Response(null, { status: 204 })
    } catch (error) {
      if (error instanceof PresignerError) return new Response(error.message, { status: 400 })
      throw error
    }
  },

  async scheduled(_, env) {
    await forgetDeleted(env.DB, new Date())
  },
} satisfies ExportedHandler<Env>

/** Returns undefined for grants and drop boxes, and for what only a newer Worker sends. */
function fileEventOf(event: WebhookEvent): FileEvent | undefined {
  switch (event.type) {
    case 'file.deleted':
      return { type: 'deleted', file: event.data.file }
    case 'file.renamed':
      return { type: 'renamed', file: event.data.file }
    case 'file.recorded':
    case 'file.replaced':
    case 'file.copied':
    case 'file.moved': // for its source, a `file.deleted` follows
      return { type: 'recorded', file: event.data.file }
    default:
      return undefined
  }
}
