const LOOPBACK_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i
const ORIGIN = /^https?:\/\/([^/]+)$/
/**
 * The names that containers use for the machine they run on. Public name servers don't have them.
 */
const CONTAINER_HOST = /^host\.(?:docker|containers)\.internal(?::\d{1,5})?$/i

/**
 * The origins of pages on this machine, in the syntax of a bucket's CORS rules, with `*` for any
 * port. S3 accepts one `*` per origin, so names below `localhost` can't be included.
 */
export const LOOPBACK_ORIGIN_RULES: readonly string[] = ['http', 'https'].flatMap((scheme) =>
  ['localhost', '127.0.0.1', '[::1]'].flatMap((host) => [
    `${scheme}://${host}`,
    `${scheme}://${host}:*`,
  ]),
)

/**
 * Tells whether a Host header names this machine: `localhost` and names below it, 127.0.0.1 or
 * [::1], with or without a port. Name servers don't resolve these, so a foreign web page can't use
 * them.
 */
export const isLoopbackHost = (host: string | undefined): boolean => LOOPBACK_HOST.test(host ?? '')

/** Who may use a server of `npm run dev`. */
export interface Callers {
  /** Allowed origins, exactly as a browser sends them. */
  readonly origins: readonly string[]
  /** Whether pages of this machine are also allowed, on any port. */
  readonly loopbackOrigins: boolean
  /** The IPv4 address of this machine on which the server listens for other machines, if any. */
  readonly host: string | undefined
  /**
   * The port of the embedded S3 server, if any. It serves uploaded files, so its pages are not
   * trusted.
   */
  readonly bucketPort: number | undefined
}

/**
 * Tells whether `callers` may use this Host. DNS rebinding doesn't work with an address: a page
 * with an address as its Host came from that address.
 */
export const isKnownHost = (host: string | undefined, callers: Pick<Callers, 'host'>): boolean =>
  isLoopbackHost(host) ||
  (callers.host !== undefined &&
    (withoutPort(host) === callers.host || CONTAINER_HOST.test(host ?? '')))

/** Tells whether pages of `origin` are among `callers`. */
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
