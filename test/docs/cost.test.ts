import { describe, expect, it } from 'vitest'
import { DEFAULT_IMAGE_SIZES } from '../../src/bucket/image-size.ts'
import { readPage } from './support/markdown.ts'

/** Returns the rows of the table whose first column has this heading, by that column. */
function table(heading: string): Map<string, string[]> {
  const lines = readPage('docs/cost.md').split('\n')
  const start = lines.findIndex((line) => line.startsWith(`| ${heading} |`))
  const rows = lines.slice(start + 2)
  const end = rows.findIndex((line) => !line.startsWith('|'))
  return new Map(
    rows.slice(0, end).map((line) => {
      const [name = '', ...cells] = line.split('|').slice(1, -1)
      return [name.replaceAll('*', '').trim(), cells.map((cell) => cell.trim())]
    }),
  )
}

/** Returns the number in a cell, such as `$5.00 a million` or `1,500`; 0 for an empty one. */
const numberIn = (cell: string | undefined): number =>
  Number(/[\d.,]+/.exec(cell ?? '')?.[0].replaceAll(',', '') ?? 0)

const PRICES = table('Price of')
const QUANTITIES = table('Quantity')
const BILL = table('Cost of')

/** Returns the cost of what exceeds the included quantity. */
function cost(price: string, quantity: number): number {
  const [included, each] = PRICES.get(price) ?? []
  if (each === undefined) throw new Error(`There is no price of ${price}.`)
  const beyond = Math.max(0, quantity - numberIn(included))
  return (beyond * numberIn(each)) / (each.endsWith('a million') ? 1e6 : 1)
}

/** For each row of the bill: the name of its price, and the row with its quantity. */
const ROWS: Readonly<Record<string, readonly [string, string]>> = {
  'Worker requests': ['Worker requests', 'Worker requests'],
  'Worker CPU': ['Worker CPU, ms', 'Worker CPU, ms'],
  'KV reads': ['KV reads', 'KV reads'],
  'KV writes': ['KV writes', 'KV writes'],
  'KV lists': ['KV lists', 'KV lists'],
  'Bucket writes': ['BUCKET writes', 'Bucket writes'],
  'Bucket reads': ['BUCKET reads', 'Bucket reads'],
  Stored: ['BUCKET stored, GB', 'Stored, GB'],
  Traffic: ['BUCKET traffic, GB', 'Traffic from the bucket, GB'],
}

const WAYS = ['URLs', 'links'] as const
const columns = (['R2', 'S3'] as const).flatMap((bucket) =>
  WAYS.map((way, quantity) => ({ bucket, way, quantity })),
)

describe('the quantities', () => {
  it.each(WAYS.map((way, column) => [way, column] as const))(
    'follow from the app: %s',
    (way, i) => {
      const quantity = (name: string) => numberIn(QUANTITIES.get(name)?.[i])
      const links = way === 'links'
      const [uploads, pages, images, bytes] = [100_000, 10_000 * 30, 10_000 * 300, 500_000]
      const throughWorker = links ? images / 2 : 0
      const copies = throughWorker * 0.05
      const fromBucket = links ? copies : images
      const requests = 2 * (2 * uploads + (links ? 2 : 1) * pages)
      expect(
        Object.fromEntries([...QUANTITIES.keys()].map((name) => [name, quantity(name)])),
      ).toEqual({
        'API requests': requests,
        'Images through the Worker': throughWorker,
        'Worker requests': requests + 2 * throughWorker,
        'Worker CPU, ms': 2 * (requests + throughWorker),
        'KV reads': uploads,
        'KV writes': uploads,
        'KV lists': pages,
        'Bucket writes': uploads,
        'Bucket reads': 2 * uploads + (links ? 2 * copies : images),
        'Stored, GB': (uploads * bytes) / 1e9,
        'Traffic from the bucket, GB': (fromBucket * bytes) / 1e9,
      })
    },
  )
})

describe.each(columns.map((column, i) => ({ ...column, i })))(
  'the bill of $bucket with $way',
  (column) => {
    const { bucket, quantity, i } = column
    const plan = numberIn(PRICES.get('Workers Paid plan')?.[1])
    const expected = Object.entries(ROWS).map(([row, [price, name]]) => {
      const amount = numberIn(QUANTITIES.get(name)?.[quantity])
      return [row, cost(price.replace('BUCKET', bucket), amount)] as const
    })

    it('has each quantity at its price, except what the plan includes', () => {
      const billed = Object.keys(ROWS).filter((row) => BILL.has(row))
      expect([...BILL.keys()]).toEqual(['Workers Paid plan', ...billed, 'Total'])
      for (const [row, amount] of expected) if (!BILL.has(row)) expect(amount, row).toBe(0)
      expect(numberIn(BILL.get('Workers Paid plan')?.[i])).toBe(plan)
      for (const [row, amount] of expected)
        expect(numberIn(BILL.get(row)?.[i]), row).toBeCloseTo(amount, 2)
    })

    it('adds up to the total in the introduction of the example', () => {
      const total = expected.reduce((sum, [, amount]) => sum + amount, plan)
      expect(numberIn(BILL.get('Total')?.[i])).toBeCloseTo(total, 2)
      const [, example = ''] = readPage('docs/cost.md').split('\n## ')
      expect(example).toContain(`$${total.toFixed(2)} on ${bucket}`)
    })
  },
)

it('says what the example costs without Workers Caching', () => {
  const images = numberIn(QUANTITIES.get('Images through the Worker')?.[1])
  const reads = 2 * numberIn(QUANTITIES.get('Bucket writes')?.[1]) + images
  const traffic = (images * 500_000) / 1e9
  const page = readPage('docs/cost.md')
  expect(page).toContain(`${reads.toLocaleString('en')} reads and ${traffic} GB`)
  const bills = (['S3', 'R2'] as const).map((bucket) => {
    const others = ['Workers Paid plan', 'Bucket writes', 'Stored'].map((row) =>
      numberIn(BILL.get(row)?.[columns.findIndex((one) => one.bucket === bucket)]),
    )
    const sum = others.reduce((all, one) => all + one, 0)
    return sum + cost(`${bucket} reads`, reads) + cost(`${bucket} traffic, GB`, traffic)
  })
  const [s3, r2] = bills.map((bill) => `$${bill.toFixed(2)}`)
  expect(page).toContain(`costs ${s3} on S3, and still ${r2} on R2`)
})

describe('the prices of a million', () => {
  const million = table('A million')
  const each = (price: string) => numberIn(PRICES.get(price)?.[1])
  /** API requests count twice, and take 2 ms, as in the example. */
  const requests = (count: number) =>
    count * 2 * (each('Worker requests') + 2 * each('Worker CPU, ms'))
  /** A million images of 500 KB are 500 GB. */
  const gigabytes = 500

  it.each(['R2', 'S3'].map((bucket, i) => [bucket, i] as const))(
    'follow from the prices: %s',
    (bucket, i) => {
      const reads = each(`${bucket} reads`)
      const expected = {
        'uploads, each recorded':
          requests(2) + each('KV reads') + each('KV writes') + each(`${bucket} writes`) + 2 * reads,
        'views by link, from the edge cache':
          2 * each('Worker requests') + 2 * each('Worker CPU, ms'),
        'views by URL, 500 KB each': reads + gigabytes * each(`${bucket} traffic, GB`),
        'pages of the list': requests(1) + each('KV lists'),
        'resized images': numberIn(table('Price').get('Images Paid')?.[1]),
      }
      expect([...million.keys()]).toEqual(Object.keys(expected))
      for (const [name, amount] of Object.entries(expected))
        expect(numberIn(million.get(name)?.[i]), name).toBeCloseTo(amount, 2)
      expect(readPage('docs/cost.md')).toContain(`${PRICES.get(`${bucket} stored, GB`)?.[1]}`)
    },
  )
})

describe('the uses of grants', () => {
  const needs = table('For')
  const [creating = [], using = []] = [...needs.values()].map((cells) => cells.map(numberIn))
  /** What the paid plan includes, from Cloudflare's page of 2026-11-28, and what creating and using needs. */
  const INCLUDED: Readonly<
    Record<string, readonly [included: number, grant: number, use: number]>
  > = {
    requests: [1_000_000, 6, 3],
    'rows written': [50_000_000, 25, 1],
    'rows read': [25_000_000_000, 7, 3],
    'duration, GB-s': [400_000, 9 * 0.01 * 0.125, 3 * 0.01 * 0.125],
    'storage, GB': [5, 12_700 / 1e9, 0],
  }
  const page = readPage('docs/cost.md')

  it('need what the page says, and cost nothing within what the paid plan includes', () => {
    const [grantRequests, grantRows] = creating.slice(1)
    const [useRequests, useRows] = using.slice(1)
    expect(INCLUDED.requests?.slice(1)).toEqual([grantRequests, useRequests])
    expect(INCLUDED['rows written']?.slice(1)).toEqual([grantRows, useRows])
    for (const [name, [included, grant, use]] of Object.entries(INCLUDED))
      expect(100_000 * (grant + use), name).toBeLessThanOrEqual(included)
    expect(page).toContain('**100,000 uses of [limited links]')
    for (const name of ['requests', 'rows written'])
      expect(page).toContain(INCLUDED[name]?.[0].toLocaleString('en'))
  })

  it('fit into the days of the free plan as often as the page says', () => {
    const rows = (creating[2] ?? 0) + (using[2] ?? 0)
    expect(page).toContain(`${Math.floor(100_000 / rows).toLocaleString('en')} uses a day`)
    expect(page).toContain(`${(100_000 / (using[0] ?? 0)).toLocaleString('en')} uses of one link`)
  })
})

describe('the resized images', () => {
  const calls = table('100,000 photos')
  const [example, ...others] = [...calls.entries()]
  const [free, each] = table('Price').get('Images Paid') ?? []
  const costOf = (amount: number): number => ((amount - numberIn(free)) * numberIn(each)) / 1e6

  it('are billed for what is beyond the included ones: at least for the unique, at most for the calls', () => {
    expect(calls.size).toBeGreaterThan(3)
    for (const [name, cells] of calls) {
      const [unique, uniqueCosts, amount, costs] = cells.slice(-4).map(numberIn)
      expect(unique, name).toBeLessThanOrEqual(amount ?? 0)
      expect(uniqueCosts, name).toBeCloseTo(costOf(unique ?? 0), 2)
      expect(costs, name).toBeCloseTo(costOf(amount ?? 0), 2)
    }
  })

  it('are one call for each photo, size, format and time, and unique by photo and size', () => {
    for (const [name, cells] of others) {
      const [sizes = 0, formats, times, unique, , amount] = cells.map(numberIn)
      const factors = [100_000, sizes, formats, times]
      const product = factors.reduce<number>((result, factor = 0) => result * factor, 1)
      expect(amount, name).toBe(product)
      expect(unique, name).toBe(100_000 * sizes)
    }
  })

  it('of the example are those without an edge copy', () => {
    const images = numberIn(QUANTITIES.get('Images through the Worker')?.[1])
    expect(numberIn(example?.[1][5])).toBe(images * 0.05)
  })

  it('have in the worst case every format of every default size', () => {
    const formats = DEFAULT_IMAGE_SIZES.map(({ width }) => (width <= 1200 ? 3 : 2))
    const [, worst] = others.at(-1) ?? []
    const [sizes = 0, average = 0] = worst?.map(numberIn) ?? []
    expect(sizes * average).toBe(formats.reduce<number>((sum, count) => sum + count, 0))
  })

  it('cost what the introduction of their section says', () => {
    const [, section = ''] = readPage('docs/cost.md').split('## Resized images')
    const [bold = ''] = /\*\*[^*]+\*\*/.exec(section) ?? []
    expect([...bold.matchAll(/\$\d+\.\d\d/g)].map(([price]) => price)).toEqual([
      example?.[1][4],
      others[0]?.[1][4],
    ])
  })
})
