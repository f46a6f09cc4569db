import { dropBoxesObject, objectsEntrypoint } from 'edge-presigner/cloudflare'
import {
  apiKeys,
  copies,
  createWorker,
  dropBoxes,
  events,
  fileAdmin,
  files,
  grants,
  images,
  jwt,
  links,
  multipart,
  notifications,
  tokens,
  upkeep,
  uppy,
  userData,
} from 'edge-presigner/worker'

// Plugins that other plugins use.
const records = files()
const parts = multipart()
const delivery = links({ images: images() }) // without resized images: links()

// Each plugin reads its variables and bindings (https://github.com/edge-presigner/edge-presigner/blob/main/docs/configuration.md).
// Delete the lines that you don't need: those plugins are then not in your bundle.
const { presigner, handler } = createWorker({
  plugins: [
    records,
    parts,
    delivery,
    grants({ links: delivery }),
    dropBoxes({ files: records, multipart: parts }),
    notifications({ files: records }),
    uppy({ multipart: parts }),
    copies(),
    fileAdmin(),
    upkeep({ files: records }),
    userData(),
    events(),
    tokens(),
    jwt(),
    apiKeys(),
  ],
})

// Reads objects for links, behind Workers Caching. Delete it together with links().
export class Objects extends objectsEntrypoint(presigner) {}

// Durable Objects. Delete each together with its plugin and its block in wrangler.toml.
export { Grants } from 'edge-presigner/cloudflare'
export class DropBoxes extends dropBoxesObject(presigner) {}
export { Upkeep } from 'edge-presigner/cloudflare'

export default handler
