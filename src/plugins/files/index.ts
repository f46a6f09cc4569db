import type { Plugin } from '../../plugin.ts'
import { fileRoutes } from './routes.ts'

/** Records of files: `POST /files` after an upload, lists, renames and deletes. */
export const files = (): Plugin => ({ name: 'files', api: fileRoutes })
