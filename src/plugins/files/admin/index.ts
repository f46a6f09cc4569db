import type { Falsy, Option, Plugin } from '../../../plugin.ts'
import type { FileIndex } from '../../../records/file-index.ts'
import { flag } from '../../../settings/rules.ts'
import { ADMIN, adminRoutes } from './routes.ts'

export interface FileAdminOptions<B> {
  /**
   * The indexes that `GET /index` reads and `PUT /index` writes, by their names, such as
   * `{ kv: (env) => kvFileIndex(env.FILES), d1: (env) => d1FileIndex(env.DB) }`. A falsy
   * value is left out, such as that of `env.DB && d1FileIndex(env.DB)` without the binding.
   */
  readonly drivers?: Readonly<Record<string, Option<Falsy<FileIndex>, B>>>
  /** Whether `GET /objects` lists what is in the bucket. Default: false. */
  readonly objects?: Option<boolean | undefined, B>
}

/** What is in the bucket, and all records of an index, for those who look after them. */
export const fileAdmin = <B = unknown>(options: FileAdminOptions<B> = {}): Plugin<B> => ({
  name: 'fileAdmin',
  api: adminRoutes,
  setup(setup) {
    setup.only('fileAdmin', options, ['drivers', 'objects'])
    const drivers = Object.entries(options.drivers ?? {}).flatMap(([name, given]) => {
      const index = setup.bind<FileIndex>(`fileAdmin.drivers.${name}`, given, 'remove')
      return index === null ? [] : [[name, index] as const]
    })
    const objects = setup.read('fileAdmin.objects', options.objects, flag)
    ADMIN.keep(setup, { drivers: new Map(drivers), objects: objects === true })
    return {}
  },
})
