import type { LinkTarget } from '../../src/access/link-signature.ts'

/** What a client asks for that follows `link`, which starts with `/i/`. */
export function linkTarget(link: string): LinkTarget {
  const { pathname: path, search, searchParams } = new URL(link, 'https://links.example')
  return { path, search, searchParams }
}
