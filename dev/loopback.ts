const LOOPBACK_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i

/**
 * Whether a Host header names this machine: `localhost` and names below it, 127.0.0.1 or [::1],
 * with or without a port. No name server answers for these, so no web page can take one for its own.
 */
export const isLoopbackHost = (host: string | undefined): boolean => LOOPBACK_HOST.test(host ?? '')
