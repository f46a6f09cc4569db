import { httpRequest } from '../lib/load.ts'
import { API_KEY, keys } from '../lib/presigner.ts'
import { interleave, spread } from '../lib/rounds.ts'
import { atMost, type Section, type Tools } from '../lib/section.ts'

/** The number of keys in a request, and of such requests in one measurement. */
const SIZES = [
  { size: 1, count: 1500 },
  { size: 10, count: 800 },
  { size: 100, count: 250 },
  { size: 1000, count: 50 },
] as const

const ROUTES = ['/links', '/files/urls'] as const
/** The free plan's limit for a request. */
const FREE_PLAN_MILLISECONDS = 10

/** Measures the CPU of requests for many links or URLs, as their number grows. */
export async function measureLists({ presigner, generator, rounds }: Tools): Promise<Section> {
  const server = await presigner.start()
  const cases = ROUTES.flatMap((route) =>
    SIZES.map(({ size, count }) => ({
      name: `${route} ${size}`,
      route,
      size,
      async measure() {
        const requests = Array.from({ length: 10 }, (_, i) =>
          httpRequest(route, API_KEY, { keys: keys(size, i * size) }),
        )
        return generator.load(server, { requests, connections: 1, seconds: 60, count })
      },
    })),
  )
  const subjects = Object.fromEntries(cases.map(({ name, measure }) => [name, measure]))
  for (const warm of Object.values(subjects)) await warm()
  const measured = await interleave(subjects, rounds)
  await server.close()

  const rows = cases.map(({ name, route, size }) => {
    const cpu = (measured[name] ?? []).map(({ cpuMilliseconds }) => cpuMilliseconds)
    return {
      name: `\`POST ${route}\`, ${size} ${size === 1 ? 'key' : 'keys'}`,
      values: {
        cpuMilliseconds: spread(cpu),
        microsecondsEach: spread(cpu.map((each) => (each * 1000) / size)),
        milliseconds: spread((measured[name] ?? []).map((one) => one.p50Milliseconds)),
      },
    }
  })
  const cpuOf = (route: string) =>
    spread((measured[`${route} 1000`] ?? []).map(({ cpuMilliseconds }) => cpuMilliseconds))
  return {
    id: 'lists',
    columns: {
      cpuMilliseconds: 'CPU of the process, ms a request',
      microsecondsEach: 'µs a key',
      milliseconds: 'p50 of the response, ms',
    },
    rows,
    targets: [
      atMost('1000 links in one request, CPU ms', cpuOf('/links'), FREE_PLAN_MILLISECONDS),
      atMost('1000 URLs in one request, CPU ms', cpuOf('/files/urls'), FREE_PLAN_MILLISECONDS),
    ],
    chart: {
      title: 'CPU of one request (the free plan allows 10 ms)',
      unit: 'ms',
      bars: cases.map(({ name }, i) => ({
        label: name,
        value: rows[i]?.values.cpuMilliseconds ?? 0,
      })),
    },
  }
}
