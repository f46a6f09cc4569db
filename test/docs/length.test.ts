import { describe, expect, it } from 'vitest'
import { pagePaths, prose, readPage } from './support/markdown.ts'

const MAX_TABLE_LINE = 160

/** The most words that a page may have. */
const BUDGET: Readonly<Record<string, number>> = {
  'README.md': 1_030,
  'docs/try.md': 1_000,
  'docs/deploy.md': 2_200,
  'docs/login.md': 2_100,
  'docs/mount.md': 3_610,
  'docs/upload.md': 2_130,
  'docs/pictures.md': 2_300,
  'docs/share.md': 2_580,
  'docs/files.md': 2_400,
  'docs/events.md': 2_200,
  'docs/server.md': 1_900,
  'docs/uppy.md': 1_600,
  'docs/operate.md': 3_190,
  'docs/import-and-repair.md': 2_970,
  'docs/cost.md': 1_850,
  'docs/troubleshooting.md': 3_810,
  'docs/doctor.md': 900,
  'docs/security.md': 3_200,
  'docs/api.md': 3_300,
  'docs/configuration.md': 2_790,
  'client/README.md': 2_060,
  'docs/comparison.md': 800,
  'docs/tried.md': 170,
  'docs/versioning.md': 480,
  'docs/recipes/README.md': 450,
  'docs/recipes/next.md': 750,
  'docs/recipes/express.md': 900,
  'docs/recipes/hono.md': 450,
  'docs/recipes/astro-sveltekit.md': 1_150,
  'docs/recipes/react.md': 920,
  'docs/recipes/vue-svelte.md': 1_050,
  'docs/recipes/login-providers.md': 1_090,
  'docs/recipes/plain-html.md': 480,
  'docs/recipes/rails-and-django.md': 580,
  'docs/recipes/hls.md': 600,
  'docs/recipes/d1-index.md': 780,
  'docs/recipes/aws-roles.md': 500,
  'docs/recipes/aws-eventbridge.md': 400,
  'docs/recipes/plugin.md': 340,
  'docs/recipes/from-better-upload.md': 880,
  'docs/recipes/from-uppy-companion.md': 820,
  'CONTRIBUTING.md': 1_240,
  'docs/maintainers/README.md': 200,
  'docs/maintainers/architecture.md': 1_560,
  'docs/maintainers/performance.md': 2_600,
  'docs/maintainers/stored-data.md': 960,
  'docs/maintainers/threats.md': 3_950,
  'docs/maintainers/decisions/client.md': 170,
  'docs/maintainers/decisions/credentials.md': 180,
  'docs/maintainers/decisions/default-worker.md': 160,
  'docs/maintainers/decisions/deletes-and-moves.md': 180,
  'docs/maintainers/decisions/dependencies.md': 190,
  'docs/maintainers/decisions/development.md': 170,
  'docs/maintainers/decisions/edge-copies.md': 160,
  'docs/maintainers/decisions/errors.md': 170,
  'docs/maintainers/decisions/events-and-notifications.md': 180,
  'docs/maintainers/decisions/fetched-credentials.md': 170,
  'docs/maintainers/decisions/file-index.md': 170,
  'docs/maintainers/decisions/grants-and-drop-boxes.md': 250,
  'docs/maintainers/decisions/images.md': 160,
  'docs/maintainers/decisions/keys.md': 170,
  'docs/maintainers/decisions/links.md': 170,
  'docs/maintainers/decisions/origins.md': 160,
  'docs/maintainers/decisions/packages.md': 160,
  'docs/maintainers/decisions/plugins-and-layers.md': 160,
  'docs/maintainers/decisions/reconciling.md': 190,
  'docs/maintainers/decisions/requests.md': 160,
  'docs/maintainers/decisions/sealed-values.md': 160,
  'docs/maintainers/decisions/settings-and-mounting.md': 170,
  'docs/maintainers/decisions/signing.md': 160,
  'docs/maintainers/decisions/upkeep.md': 180,
  'docs/maintainers/decisions/uppy-and-parts.md': 160,
}

/** The most words that all pages may have together. */
const ALL = 75_000

const pages = [...pagePaths(), 'client/README.md']
const counted = pages.filter((path) =>
  /^(?:docs\/|(?:README|CONTRIBUTING|client\/README)\.md$)/.test(path),
)
const words = (path: string): number => readPage(path).match(/\S+/g)?.length ?? 0
const isTooWide = (path: string): boolean =>
  (prose(readPage(path)).match(/^ *\|.*$/gm) ?? []).some((line) => line.length > MAX_TABLE_LINE)

describe('the tables', () => {
  it(`have no line over ${MAX_TABLE_LINE} characters`, () => {
    expect(pages.filter(isTooWide)).toEqual([])
  })
})

describe('the words', () => {
  it.each(counted)('of %s are within its budget', (path) => {
    expect(words(path)).toBeLessThanOrEqual(BUDGET[path] ?? 0)
  })

  it('have a budget only for pages that exist', () => {
    expect(Object.keys(BUDGET).filter((path) => !counted.includes(path))).toEqual([])
  })

  it(`of all pages are at most ${ALL.toLocaleString('en')}`, () => {
    const sum = counted.reduce((total, path) => total + words(path), 0)
    expect(sum).toBeLessThanOrEqual(ALL)
  })
})
