import * as edge from './worker/index.ts'
import * as cloudflare from './cloudflare.ts'

const { presigner, handler } = edge.createWorker({
  plugins: [
    // files(), multipart(), links() with resized images, events(), tokens(), jwt() and apiKeys(). Each plugin reads its variables
    // and bindings: docs/configuration.md
    ...Object.values(edge.defaultPlugins()),

    // To add a plugin, remove the "// " before it. All others stay out of your bundle.
    // Uploads by Uppy's own protocol, versions 2 to 6: docs/uppy.md
    // edge.uppy(),
    // Copies and moves files within a bucket: docs/files.md#copy-or-move-files
    // edge.copies(),
    // Lists what is in the bucket, and imports and copies the index: docs/import-and-repair.md#move-the-list-to-d1
    // edge.fileAdmin(),
    // Deletes or exports everything of one person: docs/files.md#delete-a-users-files
    // edge.userData(),
    // Records uploads that no browser confirms, from the bucket's own reports: docs/import-and-repair.md#bucket-notifications
    // edge.notifications(),
    // Compares bucket and index, and repairs the index: docs/import-and-repair.md#repair
    // edge.upkeep(),
    // Limited links, which count their uses and can be revoked: docs/share.md
    // edge.grants(),
    // Pages where anybody can send you files: docs/share.md
    // edge.dropBoxes(),
  ],
})

// Reads objects for links, behind Workers Caching.
export class Objects extends cloudflare.objectsEntrypoint(presigner) {}

// The Durable Objects of upkeep(), grants() and dropBoxes(). Each also has a block in wrangler.toml.
// export class Upkeep extends cloudflare.upkeepObject(presigner) {}
// export { Grants } from './cloudflare.ts'
// export class DropBoxes extends cloudflare.dropBoxesObject(presigner) {}

export default handler
