import type { Option, Plugin } from '../../plugin.ts'
import type { FileIndex } from '../../records/file-index.ts'
import { fileRoutes } from './routes.ts'

export interface FilesOptions<B> {
  /**
   * The index that stores records, such as `kvFileIndex(env.FILES)`. A function is called once for
   * each environment object. Without it, files can't be listed.
   */
  readonly index?: Option<FileIndex, B>
}

export interface Files<in B = unknown> extends Plugin<B> {
  readonly name: 'files'
}

/** Records of files: `POST /files` after an upload, lists, renames and deletes. */
export const files = <B = unknown>(options: FilesOptions<B> = {}): Files<B> => ({
  name: 'files',
  api: fileRoutes,
  setup(setup) {
    setup.only('files', options, ['index'])
    // A KV namespace has no such method, and is no index.
    const index = setup.bind<FileIndex>('files.index', options.index, 'remove', true)
    return index === null ? {} : { fileIndex: index }
  },
})
