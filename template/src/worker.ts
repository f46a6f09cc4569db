import { objectsEntrypoint } from 'edge-presigner/cloudflare'
import {
  apiKeys,
  createWorker,
  events,
  jwt,
  links,
  notifications,
  tokens,
  uppy,
} from 'edge-presigner/worker'

// Each plugin reads its variables, which https://github.com/edge-presigner/edge-presigner/blob/main/docs/configuration.md describes. Delete what you don't need.
const { presigner, handler } = createWorker({
  plugins: [events(), notifications(), jwt(), links(), uppy(), tokens(), apiKeys()],
})

/** Reads objects for links, behind Workers Caching. */
export class Objects extends objectsEntrypoint(presigner) {}

export default handler
