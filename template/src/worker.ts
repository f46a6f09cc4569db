import * as edge from 'edge-presigner/worker'
import * as cloudflare from 'edge-presigner/cloudflare'

const { presigner, handler } = edge.createWorker({
  plugins: [
    // files(), multipart(), links() with resized images, events(), tokens(), jwt() and apiKeys(). Each plugin reads its variables
    // and bindings: https://github.com/edge-presigner/edge-presigner/blob/main/docs/configuration.md
    ...Object.values(edge.defaultPlugins()),

    // To add a plugin, remove the "// " before it. All others stay out of your bundle.
    // Uploads by Uppy's own protocol, versions 2 to 6: https://github.com/edge-presigner/edge-presigner/blob/main/docs/uppy.md
    // edge.uppy(),
    // Copies and moves files within a bucket: https://github.com/edge-presigner/edge-presigner/blob/main/docs/files.md#copy-or-move-files
    // edge.copies(),
    // Lists what is in the bucket, and imports and copies the index: https://github.com/edge-presigner/edge-presigner/blob/main/docs/import-and-repair.md#move-the-list-to-d1
    // edge.fileAdmin(),
    // Deletes or exports everything of one person: https://github.com/edge-presigner/edge-presigner/blob/main/docs/files.md#delete-a-users-files
    // edge.userData(),
    // Records uploads that no browser confirms, from the bucket's own reports: https://github.com/edge-presigner/edge-presigner/blob/main/docs/import-and-repair.md#bucket-notifications
    // edge.notifications(),
    // Compares bucket and index, and repairs the index: https://github.com/edge-presigner/edge-presigner/blob/main/docs/import-and-repair.md#repair
    // edge.upkeep(),
    // Limited links, which count their uses and can be revoked: https://github.com/edge-presigner/edge-presigner/blob/main/docs/share.md
    // edge.grants(),
    // Pages where anybody can send you files: https://github.com/edge-presigner/edge-presigner/blob/main/docs/share.md
    // edge.dropBoxes(),
  ],
})

// Reads objects for links, behind Workers Caching.
export class Objects extends cloudflare.objectsEntrypoint(presigner) {}

// The Durable Objects of upkeep(), grants() and dropBoxes(). Each also has a block in wrangler.toml.
// export class Upkeep extends cloudflare.upkeepObject(presigner) {}
// export { Grants } from 'edge-presigner/cloudflare'
// export class DropBoxes extends cloudflare.dropBoxesObject(presigner) {}

export default handler
