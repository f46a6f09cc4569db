import { HonoBase } from 'hono/hono-base'
import type { Router } from 'hono/router'
import type { H, RouterRoute } from 'hono/types'
import type { AppEnv } from './app-env.ts'
import { frame } from './frame.ts'

/**
 * Creates an empty Hono app whose parameter `:key` may contain slashes, like object keys. It
 * matches the undecoded path. Only parameters are decoded, once.
 */
export const newApp = () =>
  new HonoBase<AppEnv>({
    router: new KeyRouter(),
    getPath: ({ url }, options) => rawPath(url, options?.env?.host.mountPath ?? ''),
  })

/** Returns the undecoded path after `mountPath`, or an empty one if the URL isn't below that. */
function rawPath(url: string, mountPath: string): string {
  const query = url.indexOf('?')
  const path = url.slice(url.indexOf('/', url.indexOf('://') + 3), query < 0 ? undefined : query)
  if (path === mountPath) return '/'
  return path.startsWith(`${mountPath}/`) ? path.slice(mountPath.length) : ''
}

type Registered = [H, RouterRoute]

interface Route {
  readonly path: string
  /** What all its requests start with. */
  readonly prefix: string
  /** Made when a request first needs it, since most need few of all routes. */
  pattern?: RegExp
  /** The only handler, and the index of each parameter in the match of `pattern`. Made like that. */
  handlers?: [[Registered, Record<string, number>]]
}

/**
 * Finds the first matching route without allocating memory. Hono's RegExpRouter lacks parameters
 * with slashes, and literals next to parameters. Its TrieRouter allocates 1.4 KB per request.
 */
class KeyRouter implements Router<Registered> {
  readonly name = 'KeyRouter'
  readonly #registered: Registered[] = []
  /** By method, from its first request on. */
  readonly #routes = new Map<string, readonly Route[]>()

  add(_method: string, _path: string, registered: Registered): void {
    this.#registered.push(registered)
    this.#routes.clear()
  }

  match(method: string, path: string): [Required<Route>['handlers'] | [], string[]] {
    for (const route of this.#routes.get(method) ?? this.#routesOf(method)) {
      if (!path.startsWith(route.prefix)) continue
      route.pattern ??= patternOf(route.path)
      const found = route.pattern.exec(path)
      if (found === null) continue
      route.handlers ??= this.#handlersOf(route.path, method)
      return [route.handlers, found]
    }
    return [[], []]
  }

  #takenBy(method: string): Registered[] {
    return this.#registered.filter(([, one]) => [method, 'ALL'].includes(one.method))
  }

  /** Returns the routes of `method`, in an order that depends only on their paths. */
  #routesOf(method: string): readonly Route[] {
    const ranks = new Map(this.#takenBy(method).map(([, { path }]) => [path, rankOf(path)]))
    const routes = [...ranks]
      .toSorted(([, a], [, b]) => (a < b ? -1 : Number(a > b)))
      .map(([path]): Route => ({ path, prefix: path.split(/:|\/\*$/, 1)[0] ?? '' }))
    this.#routes.set(method, routes)
    return routes
  }

  #handlersOf(path: string, method: string): Required<Route>['handlers'] {
    const names = path.match(/(?<=\/:)\w+/g) ?? []
    const params = Object.fromEntries(names.map((name, i) => [name, i + 1]))
    const shape = shapeOf(path)
    const met = this.#takenBy(method).filter(
      ([, one]) => one.path === path || covers(shapeOf(one.path), shape),
    )
    const own = met.find(([, one]) => one.method !== 'ALL')?.[1]
    const handler = frame(
      met.map(([one]) => one),
      own?.path,
    )
    return [[[handler, own ?? { basePath: '/', path, method: 'ALL', handler }], params]]
  }
}

/** Ranks: literal, parameter, `:key`, end, wildcard. Of equal routes, only one matches a path. */
const rankOf = (path: string): string =>
  `${path
    .split('/')
    .map((segment) => ({ '*': 4, ':key': 2 })[segment] ?? (segment.startsWith(':') ? 1 : 0))
    .join('')}3`

/** Returns a path without the names of its parameters, which may have the same value. */
const shapeOf = (path: string): string => path.replace(/:\w+/g, ':')

/** Tells whether the shape of a wildcard matches all paths of another one. */
const covers = (shape: string, other: string): boolean =>
  shape.endsWith('/*') && `${other}/`.startsWith(shape.slice(0, -1))

/** Returns what tells whether two routes have requests in common. */
export const compared = ({ method, path }: Pick<RouterRoute, 'method' | 'path'>) => ({
  method,
  path,
  shape: shapeOf(path),
  rank: rankOf(path),
  pattern: patternOf(path),
})
type Compared = ReturnType<typeof compared>

const shareMethod = (one: Compared, two: Compared): boolean =>
  one.method === two.method || one.method === 'ALL' || two.method === 'ALL'

/** Tells whether two paths are the same except for the names of parameters, or one covers the other. */
export const meet = (one: Compared, two: Compared): boolean =>
  shareMethod(one, two) &&
  (one.shape === two.shape || covers(one.shape, two.shape) || covers(two.shape, one.shape))

/** Tells whether `one` comes first for a request that `other` would answer too. */
export const takes = (one: Compared, other: Compared): boolean =>
  shareMethod(one, other) &&
  one.rank < other.rank &&
  (one.pattern.test(other.path) || other.pattern.test(one.path))

/** Returns the pattern of a path. It matches line breaks, since these are errors of a key. */
const patternOf = (path: string): RegExp =>
  new RegExp(
    `^${path
      .replace(/[.+$()[\]{}|\\^]/g, '\\$&')
      .replace(/\/\*$/, '(?:/[^]*)?')
      .replace(/:key(?!\w)/g, '([^]+)')
      .replace(/:\w+/g, '([^/]+)')}$`,
  )
