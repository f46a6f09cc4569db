import { inject } from 'vitest'
import type { Hostile } from './requests.ts'
import type { Route } from './routes.ts'
import { type Attacker, canariesIn, ORIGIN } from './world.ts'

/** An answer, with its line in the log. */
export interface Answer {
  readonly status: number
  readonly location: string | null
  readonly text: string
  /** The pattern of the route that answered, without the token in the path. */
  readonly route: string | undefined
  readonly code: string | undefined
}

/** Codes of requests that no route answers. */
const WITHOUT_ROUTE = ['not_found', 'malformed_url', 'unauthenticated', 'user_changed', 'forbidden']

/** Returns what an answer must not be, as text, or null. */
export function judge(
  { attacker, init, url }: Pick<Hostile, 'attacker' | 'init' | 'url'>,
  answer: Answer,
  routes: ReadonlyMap<string, Route>,
): string | null {
  const { status, text, code } = answer
  if (status >= 500 && (status === 500 || code === undefined)) return `status ${status}`
  const method = init.method === 'HEAD' ? 'GET' : init.method
  const route = routes.get(`${method} ${answer.route}`)
  const codes = route?.codes ?? [...WITHOUT_ROUTE, ...codesNear(url, routes)]
  if (code !== undefined && !codes.includes(code)) return `undocumented code ${code}`
  if (code === undefined && route !== undefined && !route.statuses.includes(String(status)))
    return `undocumented status ${status}`
  const isDone = status < 300
  if (isDone && route?.scopes && !mayCall(attacker, route.scopes)) return 'done without the scope'
  const shown = canariesIn(text).find((key) => !maySee(attacker, key))
  if (shown !== undefined) return `shows ${shown}`
  const foreign = urlsIn(answer).find((url) => !mayUse(attacker, url))
  return foreign === undefined ? null : `has the URL ${foreign.split('?', 1)}`
}

/** A route without scopes only needs credentials. */
const mayCall = ({ prefix, scopes }: Attacker, needed: readonly string[]): boolean =>
  prefix !== null && (needed.length === 0 || needed.some((scope) => scopes.includes(scope)))

/** Returns the codes of routes with the same start: a part of the path may answer for all below it. */
const codesNear = (url: string, routes: ReadonlyMap<string, Route>): string[] => {
  const [start] = /^\/[^/]+\//.exec(new URL(url).pathname) ?? ['none']
  return [...routes.values()].flatMap(({ path, codes }) => (path.startsWith(start) ? codes : []))
}

const maySee = ({ prefix, sees }: Attacker, key: string): boolean =>
  sees.includes(key) || (prefix !== null && key.startsWith(prefix))

/** Returns the URLs of the bucket and the links in an answer. */
const urlsIn = ({ text, location }: Answer): string[] =>
  `${text} ${location ?? ''}`.match(/https?:\/\/[^\s"'<>\\]+/g) ?? []

/** Tells whether a URL is for a key that the attacker may use. */
function mayUse(attacker: Attacker, text: string): boolean {
  if (!URL.canParse(text)) return true
  const { origin, pathname, hostname } = new URL(text)
  const s3 = new URL(inject('s3Endpoint'))
  const isVault = hostname === 'localhost' && origin.endsWith(`:${s3.port}`)
  if (origin !== s3.origin && origin !== ORIGIN && !isVault) return true
  if (isVault && attacker.isLimited) return false
  const [, key] = /^(?:\/i)?\/(?:files|vault)\/(.+)$/.exec(pathname) ?? []
  if (key === undefined || (origin === ORIGIN && !pathname.startsWith('/i/'))) return true
  const decoded = decodeURIComponent(key)
  return maySee(attacker, decoded) && !/(?:^|\/)\.{1,2}(?:\/|$)/.test(decoded)
}
