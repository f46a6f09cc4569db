import { HonoBase } from 'hono/hono-base'
import type { Router } from 'hono/router'
import type { AppEnv } from './app-env.ts'

/**
 * Creates an empty Hono app whose parameter `:key` may hold slashes, as object keys do. It matches
 * the path as the client wrote it; only parameters are decoded, once.
 */
export const newApp = () =>
  new HonoBase<AppEnv>({
    router: new KeyRouter(),
    getPath: ({ url }, options) => rawPath(url, options?.env?.host.mountPath ?? ''),
  })

/** The path behind `mountPath`, as the client wrote it. */
function rawPath(url: string, mountPath: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3) + mountPath.length
  const end = url.indexOf('?', start)
  return (end === -1 ? url.slice(start) : url.slice(start, end)) || '/'
}

type Params = Record<string, number>

interface Registered<Handler> {
  readonly method: string
  readonly path: string
  readonly handler: Handler
}

/** A path and all handlers that a request for it meets, in the order of their registration. */
interface Route<Handler> {
  /** What every path of this route starts with. */
  readonly prefix: string
  readonly pattern: RegExp
  readonly handlers: [Handler, Params][]
}

/**
 * Finds the first registered route that fits, and allocates nothing on the way there. Hono's
 * RegExpRouter takes neither a parameter with slashes in the middle of a path nor a literal next to
 * a parameter; its TrieRouter takes both, for 1.4 KB a request.
 */
class KeyRouter<Handler> implements Router<Handler> {
  readonly name = 'KeyRouter'
  readonly #registered: Registered<Handler>[] = []
  #routes: ReadonlyMap<string, readonly Route<Handler>[]> | undefined

  add(method: string, path: string, handler: Handler): void {
    this.#registered.push({ method, path: path === '*' ? '/*' : path, handler })
    this.#routes = undefined
  }

  match(method: string, path: string): [[Handler, Params][], string[]] {
    this.#routes ??= this.#build()
    const routes = this.#routes.get(method) ?? this.#routes.get('ALL') ?? []
    for (const { prefix, pattern, handlers } of routes) {
      const found = path.startsWith(prefix) ? pattern.exec(path) : null
      if (found !== null) return [handlers, found]
    }
    return [[], []]
  }

  #build(): ReadonlyMap<string, readonly Route<Handler>[]> {
    const methods = new Set(['ALL', ...this.#registered.map(({ method }) => method)])
    return new Map([...methods].map((method) => [method, this.#routesOf(method)]))
  }

  /** The routes of `method`: those without a wildcard first, which takes what they leave. */
  #routesOf(method: string): Route<Handler>[] {
    const registered = this.#registered.filter((one) => [method, 'ALL'].includes(one.method))
    const paths = [...new Set(registered.map(({ path }) => path))]
    const wildcards = paths.filter((path) => path.endsWith('/*'))
    return [
      ...paths.filter((path) => !path.endsWith('/*')),
      ...wildcards.toSorted((a, b) => b.length - a.length),
    ].map((path) => {
      const [prefix = ''] = path.split(/:|\/\*$/, 1)
      const names = path.match(/(?<=\/:)\w+/g) ?? []
      const params = Object.fromEntries(names.map((name, i) => [name, i + 1]))
      const handlers = registered
        .filter((one) => one.path === path || covers(one.path, path))
        .map(({ handler }): [Handler, Params] => [handler, params])
      return { prefix, pattern: patternOf(path), handlers }
    })
  }
}

/** Whether the wildcard `path` takes all paths of the route `other`. */
const covers = (path: string, other: string): boolean =>
  path.endsWith('/*') && `${other}/`.startsWith(path.slice(0, -1))

/** A line break is no end here: a key that holds one must be refused as a key, not as a route. */
const patternOf = (path: string): RegExp =>
  new RegExp(
    `^${path
      .replace(/[.+$()[\]{}|\\^]/g, '\\$&')
      .replace(/\/\*$/, '(?:/[^]*)?')
      .replace(/:key(?!\w)/g, '([^]+)')
      .replace(/:\w+/g, '([^/]+)')}$`,
  )
