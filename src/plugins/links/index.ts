import { ON_WORKERS } from '../../http/runtime.ts'
import type { Plugin } from '../../plugin.ts'
import { flag } from '../../settings/rules.ts'
import { deliveryRoutes } from './deliver.ts'
import { directObjects } from './direct-objects.ts'
import { edgeObjects, stubIn } from './edge-objects.ts'
import { linkRoutes } from './make-links.ts'
import { LINKS, type LinksOptions } from './options.ts'
import { requireVisitor, restrictions, restrictionsOf } from './restrictions.ts'

export type { Restricted } from './restrictions.ts'

/** What plugins that hand out links need of them. */
const STEPS = { restrictions, restrictionsOf, requireVisitor }

export type LinkSteps = typeof STEPS

export interface Links<in B = unknown> extends Plugin<B> {
  readonly steps: LinkSteps
}

/** Links for an `<img>` or an email, and to folders, and their delivery below `/i` and `/f`. */
export const links = <B = unknown>(options: LinksOptions<B> = {}): Links<B> => ({
  name: 'links',
  steps: STEPS,
  // With everything in it: `images()` of a Worker brings a rule.
  plugins: options.images ? [{ ...options.images, name: 'images' }] : [],
  open: deliveryRoutes,
  api: linkRoutes,
  setup(setup) {
    setup.only('links', options, ['images', 'entrypoint', 'ownsOrigin', 'addressOf'])
    const { entrypoint = 'Objects', addressOf = ON_WORKERS ? connectingIp : undefined } = options
    if (addressOf && typeof addressOf !== 'function')
      setup.issue('links.addressOf', 'must be a function')
    const ownsOrigin = setup.read('links.ownsOrigin', options.ownsOrigin, flag) ?? false
    const images = options.images?.read(setup) ?? null
    if (setup.settings?.linkBase === null && !ON_WORKERS) setup.warn('links need linkBase')
    LINKS.keep(setup, {
      images,
      entrypoint,
      ownsOrigin,
      addressOf: addressOf && ((request) => addressOf(request, setup.env)),
    })
    return {
      objects(context) {
        const stub = stubIn(context, entrypoint)
        return stub === null ? directObjects(context) : edgeObjects(stub, !!images?.serve)
      },
    }
  },
})

const connectingIp = ({ headers }: Request): string | null => headers.get('CF-Connecting-IP')
