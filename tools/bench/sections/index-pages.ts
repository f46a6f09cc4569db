import { bundle } from '../lib/build.ts'
import { httpRequest } from '../lib/load.ts'
import { startMiniflare } from '../lib/miniflare.ts'
import { API_KEY, variables } from '../lib/presigner.ts'
import { interleave, ratio, spread } from '../lib/rounds.ts'
import { atMost, type Section, type Tools } from '../lib/section.ts'
import type { RunningServer } from '../lib/workerd.ts'

const SIZES = [1e3, 1e5]
const SEEDED_AT_ONCE = 2500
const REQUESTS = 40

const PAGES = {
  first: { name: 'first page of 100', query: 'limit=100' },
  middle: { name: 'page of 100 in the middle', query: 'limit=100' },
  large: { name: 'first page of 1000', query: 'limit=1000' },
  urls: { name: 'first page of 1000, with URLs', query: 'limit=1000&urls=view' },
} as const

type Page = keyof typeof PAGES

/**
 * Measures the time of one page of `GET /files` as the index grows. Uses Miniflare, whose KV is
 * SQLite on this machine.
 */
export async function measureIndexPages({ presigner, generator, rounds }: Tools): Promise<Section> {
  const seed = await bundle('tools/bench/peers/seed.ts')
  const miniflare = await startMiniflare(
    SIZES.flatMap((size) => {
      const kvNamespaces = { FILE_INDEX: `index-${size}` }
      const { script } = presigner.bundle
      return [
        { name: `list-${size}`, script, kvNamespaces, bindings: variables() },
        { name: `seed-${size}`, script: seed.script, kvNamespaces },
      ]
    }),
  )
  const serverOf = (name: string): RunningServer => {
    const server = miniflare.servers[name]
    if (server === undefined) throw new Error(`${name} does not run.`)
    return server
  }

  const subjects: Record<string, () => Promise<number>> = {}
  for (const size of SIZES) {
    await fill(serverOf(`seed-${size}`), size)
    const server = serverOf(`list-${size}`)
    const cursor = await cursorInTheMiddle(server, size)
    for (const page of Object.keys(PAGES) as Page[]) {
      const query = PAGES[page].query + (page === 'middle' ? `&cursor=${cursor}` : '')
      const requests = [httpRequest(`/files?${query}`, API_KEY)]
      const order = { requests, connections: 1, seconds: 60, count: REQUESTS }
      subjects[`${page} ${size}`] = async () =>
        (await generator.load(server, order)).p50Milliseconds
    }
  }
  for (const warm of Object.values(subjects)) await warm()
  const measured = await interleave(subjects, rounds)
  await miniflare.close()

  const [small = 0, large = 0] = SIZES
  const of = (page: Page, size: number) => measured[`${page} ${size}`] ?? []
  const growth = (page: Page) => ratio(of(page, large), of(page, small))
  return {
    id: 'index-pages',
    columns: {
      files1e3: '1e3 files, ms',
      files1e5: '1e5 files, ms',
      growth: '1e5 relative to 1e3',
    },
    rows: (Object.keys(PAGES) as Page[]).map((page) => ({
      name: PAGES[page].name,
      values: {
        files1e3: spread(of(page, 1e3)),
        files1e5: spread(of(page, 1e5)),
        growth: growth(page),
      },
    })),
    targets: [
      atMost(
        'Time of the first page of 100 with 1e5 files, relative to 1e3',
        growth('first'),
        1.25,
      ),
      atMost(
        'Time of a page of 100 in the middle of 1e5 files, relative to 1e3',
        growth('middle'),
        1.25,
      ),
    ],
    chart: {
      title: 'Time of one page of GET /files as the index grows',
      unit: 'ms',
      bars: (Object.keys(PAGES) as Page[]).flatMap((page) =>
        SIZES.map((size) => ({
          label: `${page}, ${size.toExponential(0).replace('+', '')} files`,
          value: spread(of(page, size)),
        })),
      ),
    },
  }
}

async function fill({ port }: RunningServer, size: number): Promise<void> {
  for (let from = 0; from < size; from += SEEDED_AT_ONCE) {
    const to = Math.min(size, from + SEEDED_AT_ONCE)
    const response = await fetch(`http://127.0.0.1:${port}/?from=${from}&to=${to}`)
    if ((await response.text()) !== 'seeded') throw new Error('The index was not filled.')
  }
}

/** Reads pages up to the middle of the index. */
async function cursorInTheMiddle({ port }: RunningServer, size: number): Promise<string> {
  let cursor = ''
  for (let read = 0; read < size / 2; ) {
    const limit = Math.min(1000, size / 2 - read)
    const query = `limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`
    const response = await fetch(`http://127.0.0.1:${port}/files?${query}`, {
      headers: { Authorization: `Bearer ${API_KEY}` },
    })
    const page: { readonly cursor?: string } = JSON.parse(await response.text())
    if (page.cursor === undefined) throw new Error('The list ended before its middle.')
    cursor = page.cursor
    read += limit
  }
  return cursor
}
