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
  readonly prefix: string
  readonly pattern: RegExp
  /** The only handler, and the index of each parameter in the match of `pattern`. */
  readonly handlers: [[Registered, Record<string, number>]]
}

/**
 * Finds the first matching route without allocating memory. Hono's RegExpRouter lacks parameters
 * with slashes, and literals next to parameters. Its TrieRouter allocates 1.4 KB per request.
 */
class KeyRouter implements Router<Registered> {
  readonly name = 'KeyRouter'
  readonly #registered: Registered[] = []
  #routes: ReadonlyMap<string, readonly Route[]> | undefined

  add(_method: string, _path: string, registered: Registered): void {
    this.#registered.push(registered)
    this.#routes = undefined
  }

  match(method: string, path: string): [Route['handlers'] | [], string[]] {
    this.#routes ??= this.#build()
    const routes = this.#routes.get(method) ?? this.#routes.get('ALL') ?? []
    for (const { prefix, pattern, handlers } of routes) {
      const found = path.startsWith(prefix) ? pattern.exec(path) : null
      if (found !== null) return [handlers, found]
    }
    return [[], []]
  }

  #build(): ReadonlyMap<string, readonly Route[]> {
    const methods = new Set(['ALL', ...this.#registered.map(([, { method }]) => method)])
    return new Map([...methods].map((method) => [method, this.#routesOf(method)]))
  }

  /** Returns the routes of `method`, in an order that depends only on their paths. */
  #routesOf(method: string): Route[] {
    const registered = this.#registered.filter(([, one]) => [method, 'ALL'].includes(one.method))
    const ranks = new Map(registered.map(([, { path }]) => [path, rankOf(path)]))
    return [...ranks]
      .toSorted(([, a], [, b]) => (a < b ? -1 : Number(a > b)))
      .map(([path]) => {
        const [prefix = ''] = path.split(/:|\/\*$/, 1)
        const names = path.match(/(?<=\/:)\w+/g) ?? []
        const params = Object.fromEntries(names.map((name, i) => [name, i + 1]))
        const met = registered.filter(([, one]) => one.path === path || covers(one.path, path))
        const own = met.find(([, one]) => one.method !== 'ALL')?.[1]
        const handler = frame(
          met.map(([one]) => one),
          own?.path,
        )
        const route = own ?? { basePath: '/', path, method: 'ALL', handler }
        return { prefix, pattern: patternOf(path), handlers: [[[handler, route], params]] }
      })
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

/** Tells whether the wildcard `path` matches all paths of the route `other`. */
const covers = (path: string, other: string): boolean =>
  path.endsWith('/*') && `${shapeOf(other)}/`.startsWith(shapeOf(path).slice(0, -1))

/** Tells whether two paths are the same except for the names of parameters, or one covers the other. */
export const meet = (one: string, two: string): boolean =>
  shapeOf(one) === shapeOf(two) || covers(one, two) || covers(two, one)

/** Tells whether `one` comes first for a request that `other` would answer too. */
export const takes = (one: string, other: string): boolean =>
  rankOf(one) < rankOf(other) && (patternOf(one).test(other) || patternOf(other).test(one))

/** Returns the pattern of a path. It matches line breaks, since these are errors of a key. */
const patternOf = (path: string): RegExp =>
  new RegExp(
    `^${path
      .replace(/[.+$()[\]{}|\\^]/g, '\\$&')
      .replace(/\/\*$/, '(?:/[^]*)?')
      .replace(/:key(?!\w)/g, '([^]+)')
      .replace(/:\w+/g, '([^/]+)')}$`,
  )
