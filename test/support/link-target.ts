import type { LinkTarget } from '../../src/plugins/links/verify-link.ts'

/** Returns the request target of a client that follows `link`, which starts with `/i/`. */
export function linkTarget(link: string): LinkTarget {
  const { pathname: path, search, searchParams } = new URL(link, 'https://links.example')
  return { path, search, searchParams }
}
