const LOOPBACK_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i
const ORIGIN = /^https?:\/\/([^/]+)$/
/** The names by which containers reach the machine that they run on. No public name server has them. */
const CONTAINER_HOST = /^host\.(?:docker|containers)\.internal(?::\d{1,5})?$/i

/**
 * The origins of pages on this machine as a bucket's CORS rules write them, `*` for any port. S3
 * takes one `*` an origin, so that there's no way to write names below `localhost` as well.
 */
export const LOOPBACK_ORIGIN_RULES: readonly string[] = ['http', 'https'].flatMap((scheme) =>
  ['localhost', '127.0.0.1', '[::1]'].flatMap((host) => [
    `${scheme}://${host}`,
    `${scheme}://${host}:*`,
  ]),
)

/**
 * Whether a Host header names this machine: `localhost` and names below it, 127.0.0.1 or [::1],
 * with or without a port. No name server answers for these, so no web page can take one for its own.
 */
export const isLoopbackHost = (host: string | undefined): boolean => LOOPBACK_HOST.test(host ?? '')

/** What may use a server of `npm run dev`. */
export interface Callers {
  /** Origins of pages that may, exactly as a browser sends them. */
  readonly origins: readonly string[]
  /** Whether pages of this machine may as well, on any port. */
  readonly loopbackOrigins: boolean
  /** The IPv4 address of this machine that the server listens on for others, if it does. */
  readonly host: string | undefined
  /** The port of the embedded S3 server, if there is one: what it serves are files, not the developer's pages. */
  readonly bucketPort: number | undefined
}

/**
 * Whether a Host header is one under which `callers` may reach the server. An address can't be
 * rebound: a page whose Host is an address came from there.
 */
export const isKnownHost = (host: string | undefined, callers: Pick<Callers, 'host'>): boolean =>
  isLoopbackHost(host) ||
  (callers.host !== undefined &&
    (withoutPort(host) === callers.host || CONTAINER_HOST.test(host ?? '')))

/** Whether a page of `origin` is one of `callers`. */
export function isKnownOrigin(origin: string, callers: Callers): boolean {
  if (callers.origins.includes(origin)) return true
  const [, host] = ORIGIN.exec(origin) ?? []
  if (host === undefined || host.endsWith(`:${callers.bucketPort}`)) return false
  return (
    (callers.loopbackOrigins && isLoopbackHost(host)) ||
    (callers.host !== undefined && withoutPort(host) === callers.host)
  )
}

const withoutPort = (host: string | undefined): string => (host ?? '').replace(/:\d{1,5}$/, '')
