import { describe, expect, it, vi } from 'vitest'
import { REASONS_BY_CODE, STATUS_BY_CODE } from '../../src/errors/api-error.ts'
import { readRoutes } from '../../tools/dev/openapi/sources.ts'
import { prose, readPage } from './support/markdown.ts'

// Node has no such module. The routes are only listed here, not called.
vi.mock('cloudflare:workers', () => ({ env: {}, exports: {}, WorkerEntrypoint: class {} }))

const API = readPage('docs/api.md')
/** Pages that name codes of the API, in their text as code. */
const PAGES = ['api', 'upload', 'uppy', 'pictures', 'share', 'files'].map((name) =>
  readPage(`docs/${name}.md`),
)

/** Names of wrangler that these pages mention too. */
const OF_WRANGLER = ['database_name']

/** Returns the handlers of the app as the documentation writes them: `GET /files/:key/url`. */
async function registeredRoutes(): Promise<string[]> {
  const handlers = (await readRoutes()).filter(({ method }) => method !== 'ALL')
  return unique(handlers.map(({ method, path }) => `${method} ${path}`))
}

const unique = (values: readonly string[]): string[] => [...new Set(values)].toSorted()

const inTokenPath = (route: string): boolean => route.includes(' /u/:token/')

describe('the table of routes', () => {
  const [, section = ''] = API.split('\n## Routes\n')
  const [table = ''] = section.split('\n## ')
  const rows = [...table.matchAll(/^\| `([A-Z]+ \/[^`]*)` \| (\w*)/gm)]
  const documented = rows.map(([, route = '']) => route)

  it('has each route once', async () => {
    const routes = await registeredRoutes()
    expect(documented.toSorted()).toEqual(routes.filter((route) => !inTokenPath(route)))
  })

  it('has scopes for exactly those that also exist under /u/:token', async () => {
    const routes = await registeredRoutes()
    const open = rows.filter(([, , scope]) => scope === 'none').map(([, route]) => route)
    expect(open).toContain('GET /healthz')
    const expected = documented
      .filter((route) => !open.includes(route))
      .map((route) => route.replace(' /', ' /u/:token/'))
    expect(routes.filter(inTokenPath)).toEqual(unique(expected))
  })
})

it('names only existing codes in its text', () => {
  const others: readonly string[] = [...Object.values(REASONS_BY_CODE).flat(), ...OF_WRANGLER]
  const named = PAGES.flatMap((page) =>
    [...prose(page).matchAll(/`([a-z]+_[a-z_]+)`/g)].map(([, code = '']) => code),
  )
  expect(named.length).toBeGreaterThan(15)
  expect(
    unique(named).filter((code) => !(code in STATUS_BY_CODE) && !others.includes(code)),
  ).toEqual([])
})
