import { globSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

/**
 * Returns the links of built pages that lead to no page, no file or no heading. `base` is the path
 * of the site on its host.
 */
export function deadLinks(folder: string, base = '/'): string[] {
  const files = globSync('**/*', { cwd: folder }).map((path) => path.replaceAll('\\', '/'))
  const pages = new Map(
    files
      .filter((path) => path.endsWith('.html'))
      .map((path) => [path, readFileSync(join(folder, path), 'utf8')]),
  )
  const ids = new Map([...pages].map(([path, html]) => [path, new Set(attributes(html, 'id'))]))
  const known = new Set(files)
  return [...pages].flatMap(([page, html]) =>
    [...new Set(attributes(html, 'href'))].flatMap((href) => {
      if (/^(?:[a-z]+:|\/\/)/.test(href)) return []
      const [file = '', id] = href.split('#')
      const path = pathOf(page, file, base)
      if (!known.has(path)) return [`${page}: ${href}: no such page`]
      // The links of the list "On this page" lead to the top when a page has no headings.
      if (id === undefined || id === '' || !pages.has(path)) return []
      return ids.get(path)?.has(decodeURIComponent(id)) ? [] : [`${page}: ${href}: no such heading`]
    }),
  )
}

/** Returns the file that a path without host leads to. */
function pathOf(page: string, href: string, base: string): string {
  if (href === '') return page
  const path = href.startsWith(base)
    ? href.slice(base.length)
    : href.startsWith('/')
      ? href // outside of the site
      : posix.normalize(posix.join(posix.dirname(page), href))
  return /(?:^|\/)$/.test(path) ? `${path}index.html` : path
}

const attributes = (html: string, name: string): string[] =>
  [...html.matchAll(new RegExp(` ${name}="([^"]*)"`, 'g'))].map(([, value = '']) =>
    value.replaceAll('&amp;', '&'),
  )
