import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { urlPath } from '../../tools/dev/url-path.ts'

const APPS = join(import.meta.dirname, '../apps')

/** The page of frameworks that have none of their own. */
const PLAIN = 'plain'
const WITH_PLAIN_PAGE = ['express', 'hono']

/** The files for an app of each framework, by path. vite.config.ts puts them into the built command. */
export const APP_FILES: Readonly<Record<string, Readonly<Record<string, string>>>> =
  Object.fromEntries(
    readdirSync(APPS)
      .filter((name) => name !== PLAIN)
      .map((name) => [
        name,
        {
          ...readFiles(join(APPS, name)),
          ...(WITH_PLAIN_PAGE.includes(name) && readFiles(join(APPS, PLAIN))),
        },
      ]),
  )

function readFiles(folder: string): Record<string, string> {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true })
  const paths = found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(
    paths.toSorted().map((path) => [urlPath(folder, path), readFileSync(path, 'utf8')]),
  )
}
