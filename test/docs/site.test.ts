import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { deadLinks } from '../../tools/site/dead-links.ts'
import { sidebar, sidebarLinks, siteLink, sourcePages } from '../../tools/site/pages.ts'
import { referencePages, referencePath } from '../../tools/site/reference.ts'
import { pagePaths, readPage } from './support/markdown.ts'
import {
  operationsOf,
  readDocument,
  responseOf,
  type SchemaObject,
} from './support/openapi-document.ts'

const DOCUMENT = readDocument()
const REFERENCE = referencePages()
const pages = [
  ...pagePaths().filter((path) => path.startsWith('docs/')),
  'README.md',
  'client/README.md',
]

describe('the sidebar', () => {
  const links = sidebarLinks(sidebar(REFERENCE))

  it('has each page of docs/, the README, the client and the reference, once', () => {
    expect(sourcePages().toSorted()).toEqual(pages.toSorted())
    const forUsers = pages.filter((path) => !path.startsWith('docs/maintainers/'))
    const expected = [...forUsers, ...REFERENCE.map(([path]) => path)]
    expect(links.toSorted()).toEqual(expected.map((path) => siteLink('README.md', path)).toSorted())
  })

  it('has the recipes in the order of their page, in which people need them', () => {
    const listed = [...readPage('docs/recipes/README.md').matchAll(/\]\(([\w-]+\.md)\)/g)]
    const recipes = links.filter((link) => /^\/recipes\/./.test(link))
    expect(recipes.length).toBeGreaterThan(10)
    expect(recipes).toEqual(listed.map(([, path]) => `/recipes/${path}`))
  })

  it('leaves the pages for maintainers to their own list, which has each of them once', () => {
    const list = 'docs/maintainers/README.md'
    const linked = [...readPage(list).matchAll(/\]\(([\w/-]+\.md)\)/g)].map(
      ([, path]) => `docs/maintainers/${path}`,
    )
    const others = pages.filter((path) => path.startsWith('docs/maintainers/') && path !== list)
    expect(linked.toSorted()).toEqual(others.toSorted())
  })
})

describe('a link of a page', () => {
  it.each([
    ['docs/events.md', 'api.md#errors', '/api.md#errors'],
    ['docs/recipes/react.md', '../api.md', '/api.md'],
    ['docs/recipes/react.md', 'README.md#on-your-machine', '/recipes/#on-your-machine'],
    ['docs/try.md', '../README.md', '/'],
    ['README.md', 'docs/maintainers/stored-data.md', '/maintainers/stored-data.md'],
    ['docs/api.md', '#errors', '#errors'],
    ['docs/api.md', 'https://a.example/b', 'https://a.example/b'],
  ])('of %s to %s leads to %s', (page, target, expected) => {
    expect(siteLink(page, target)).toBe(expected)
  })

  it.each([
    ['docs/cost.md', '../src/index.ts', 'blob/main/src/index.ts'],
    ['docs/cost.md', '../examples', 'tree/main/examples'],
    ['README.md', 'SECURITY.md#a', 'blob/main/SECURITY.md#a'],
  ])('of %s to %s leads to GitHub', (page, target, expected) => {
    expect(siteLink(page, target)).toBe(
      `https://github.com/edge-presigner/edge-presigner/${expected}`,
    )
  })

  it('fails the build if the repository has no such file', () => {
    expect(() => siteLink('docs/cost.md', '../src/gone.ts')).toThrow(
      'docs/cost.md: ../src/gone.ts: no such file',
    )
  })
})

describe('the check of the built pages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  it('reports links to a missing page, a missing file and a missing heading', () => {
    mkdirSync(join(folder, 'recipes'))
    writeFileSync(
      join(folder, 'a.html'),
      '<h2 id="here"></h2><a href="#here"><a href="recipes/"><a href="/recipes/index.html#top"><a href="https://x/"><a href="#gone"><a href="/b.html"><a href="recipes/#gone"><link href="/c.css">',
    )
    writeFileSync(join(folder, 'recipes/index.html'), '<h1 id="top"></h1><a href="../a.html#here">')
    expect(deadLinks(folder)).toEqual([
      'a.html: #gone: no such heading',
      'a.html: /b.html: no such page',
      'a.html: recipes/#gone: no such heading',
      'a.html: /c.css: no such page',
    ])
  })

  it('knows the path of the site on its host', () => {
    writeFileSync(
      join(folder, 'a.html'),
      '<b id="here"></b><a href="/docs/recipes/"><a href="/recipes/">',
    )
    expect(deadLinks(folder, '/docs/')).toEqual(['a.html: /recipes/: no such page'])
  })
})

describe('the reference', () => {
  const sections = new Map(
    REFERENCE.flatMap(([, markdown]) => markdown.split(/^## (?=[A-Z]+ \/)/m).slice(1)).map(
      (section) => [section.split('\n', 1).join(), section],
    ),
  )

  /** Returns the names in a schema and below it. */
  function namesIn(schema: SchemaObject = {}): string[] {
    if (schema.$ref !== undefined)
      return namesIn(DOCUMENT.components.schemas[schema.$ref.replace('#/components/schemas/', '')])
    const parts = [schema.items, ...(schema.anyOf ?? []), ...(schema.allOf ?? [])]
    return [
      ...Object.entries(schema.properties ?? {}).flatMap(([name, one]) => [name, ...namesIn(one)]),
      ...parts.flatMap((part) => (part === undefined ? [] : namesIn(part))),
    ]
  }

  it.each(
    operationsOf(DOCUMENT).map((located) => ({
      ...located,
      route: `${located.method} ${located.path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
    })),
  )('has all parameters, members, responses and errors of $route', ({ route, operation }) => {
    const section = sections.get(route)
    if (section === undefined) throw new Error(`The reference has no ${route}.`)
    for (const { name } of operation.parameters ?? []) expect(section).toContain(`| \`${name}\``)
    const schemas = Object.values(operation.requestBody?.content ?? {}).map(({ schema }) => schema)
    for (const status of Object.keys(operation.responses)) {
      const response = responseOf(DOCUMENT, operation, status)
      const content = Object.values(response?.content ?? {}).map(({ schema }) => schema)
      if (status < '4') {
        expect(section).toContain(`**${status}**: `)
        schemas.push(...content)
      } else {
        const codes = content
          .flatMap((schema) => schema?.allOf ?? [])
          .flatMap(({ properties }) => properties?.code?.enum ?? [])
        for (const code of codes) expect(section).toContain(`| ${status} | \`${code}\` | `)
      }
    }
    for (const name of schemas.flatMap(namesIn))
      expect(section).toMatch(new RegExp(`^\\| \`(?:[\\w.[\\]-]+\\.)?${name}\``, 'm'))
    expect(section).not.toContain('undefined')
  })

  it('has the example that a test runs', () => {
    expect(sections.get('POST /tokens')).toContain('curl -sS http://localhost:8787/tokens')
    expect(sections.get('POST /tokens')).toContain('"token": "ept_')
  })

  it('has a page for each route of the table in docs/api.md, which links to it', () => {
    const routes = [...readPage('docs/api.md').matchAll(/^\| `([A-Z]+ \/[^`]*)` \|/gm)]
    expect(routes.length).toBeGreaterThan(20)
    for (const [, route = ''] of routes) expect(referencePath(route), route).not.toBeNull()
    expect(referencePath('POST /tokens')).toBe('/reference/tokens.md')
  })

  it('has a guide for each of its pages', () => {
    for (const [path, markdown] of REFERENCE) {
      const [, guide = 'none'] = /^.* \[Guide\]\(\.\.\/\.\.\/\.\.\/(.+)\)\.$/m.exec(markdown) ?? []
      expect(pages, path).toContain(guide)
    }
  })
})
