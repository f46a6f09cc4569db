import type { Option, Plugin } from '../../plugin.ts'
import type { FileIndex } from '../../records/file-index.ts'
import { whole } from '../../settings/rules.ts'
import { DEFAULT_REQUESTS, fileRoutes, REQUESTS } from './routes.ts'

export interface FilesOptions<B> {
  /**
   * The index that stores records, such as `kvFileIndex(env.FILES)`. A function is called once for
   * each environment object. Without it, files can't be listed.
   */
  readonly index?: Option<FileIndex, B>
  /**
   * Requests to the bucket that one `POST /files/delete` may send for files with an `etag`: 20 to 10,000.
   * Default: 45, since a Worker on Cloudflare's free plan may send 50. Files that are left get an error,
   * and can be sent again.
   */
  readonly maxRequests?: Option<number | undefined, B>
}

export interface Files<in B = unknown> extends Plugin<B> {
  readonly name: 'files'
}

/** Records of files: `POST /files` after an upload, lists, renames and deletes. */
export const files = <B = unknown>(options: FilesOptions<B> = {}): Files<B> => ({
  name: 'files',
  api: fileRoutes,
  setup(setup) {
    setup.only('files', options, ['index', 'maxRequests'])
    const requests = setup.read('files.maxRequests', options.maxRequests, whole(20, 10_000))
    REQUESTS.keep(setup, requests ?? DEFAULT_REQUESTS)
    // A KV namespace has no such method, and is no index.
    const index = setup.bind<FileIndex>('files.index', options.index, 'remove', true)
    return index === null ? {} : { fileIndex: index }
  },
})
