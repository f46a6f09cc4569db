import { PLUGINS } from '../../examples/everything/src/presigner.ts'
import { createApp } from '../../src/app.ts'
import { joinPlugins } from '../../src/join-plugins.ts'
import { type ApiKeysOptions, apiKeys } from '../../src/plugins/api-keys/index.ts'
import { type CopiesOptions, copies } from '../../src/plugins/copies/index.ts'
import { dropBoxes } from '../../src/plugins/drop-boxes/index.ts'
import { type EventsOptions, events } from '../../src/plugins/events/index.ts'
import { type FileAdminOptions, fileAdmin } from '../../src/plugins/files/admin/index.ts'
import { type FilesOptions, files } from '../../src/plugins/files/index.ts'
import { grants } from '../../src/plugins/grants/index.ts'
import { type JwtOptions, jwt } from '../../src/plugins/jwt/index.ts'
import { type ImagesOptions, images } from '../../src/plugins/links/images/index.ts'
import { links } from '../../src/plugins/links/index.ts'
import type { LinksOptions } from '../../src/plugins/links/options.ts'
import { multipart } from '../../src/plugins/multipart/index.ts'
import { type NotificationsOptions, notifications } from '../../src/plugins/notifications/index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { type UpkeepOptions, upkeep } from '../../src/plugins/upkeep/index.ts'
import { uppy } from '../../src/plugins/uppy/index.ts'
import { type UserDataOptions, userData } from '../../src/plugins/user-data/index.ts'

/** The options of plugins, by their names. */
export interface PluginOptions<B = unknown> {
  readonly apiKeys?: ApiKeysOptions<B>
  readonly jwt?: JwtOptions<B>
  readonly files?: FilesOptions<B>
  readonly events?: EventsOptions<B>
  readonly copies?: CopiesOptions<B>
  readonly fileAdmin?: FileAdminOptions<B>
  readonly userData?: UserDataOptions<B>
  readonly links?: Omit<LinksOptions<B>, 'images'>
  readonly images?: Partial<ImagesOptions<B>>
  readonly notifications?: NotificationsOptions<B>
  readonly upkeep?: UpkeepOptions<B>
}

/** The plugins for presigners whose app doesn't authenticate. */
export const credentials = <B = unknown>({ apiKeys: keys, jwt: accept }: PluginOptions<B> = {}) => [
  jwt<B>(accept ?? { accept: undefined }),
  apiKeys<B>(keys ?? { keys: undefined }),
]

/** Every other plugin, in another order than in the Worker, since the order must not matter. */
export const everyPlugin = <B = unknown>(options: PluginOptions<B> = {}) => [
  notifications<B>(options.notifications),
  uppy(),
  dropBoxes(),
  tokens(),
  upkeep<B>(options.upkeep),
  files<B>(options.files),
  copies<B>(options.copies),
  fileAdmin<B>(options.fileAdmin ?? { objects: true }),
  userData<B>(options.userData),
  grants(),
  multipart(),
  links<B>({ ...options.links, images: images<B>({ binding: undefined, ...options.images }) }),
  events<B>(options.events ?? {}),
]

/** The Worker's routes. */
export const app = createApp(joinPlugins(PLUGINS).plugins)
