import { objectsEntrypoint } from 'edge-presigner/cloudflare'
import {
  apiKeys,
  copies,
  createWorker,
  events,
  files,
  images,
  jwt,
  links,
  multipart,
  notifications,
  tokens,
  uppy,
} from 'edge-presigner/worker'

// Each plugin reads its variables and bindings (https://github.com/edge-presigner/edge-presigner/blob/main/docs/configuration.md).
// Delete what you don't need: it is then not in your bundle.
const { presigner, handler } = createWorker({
  plugins: [
    events(),
    notifications({ files: files() }), // without notifications: files()
    jwt(),
    links({ images: images() }), // without resized images: links()
    copies(),
    uppy({ multipart: multipart() }), // without Uppy: multipart()
    tokens(),
    apiKeys(),
  ],
})

// Reads objects for links, behind Workers Caching. Delete it together with links().
export class Objects extends objectsEntrypoint(presigner) {}

export default handler
