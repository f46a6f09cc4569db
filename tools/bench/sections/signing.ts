import { bundle, compatibilityDate } from '../lib/build.ts'
import { interleave, ratio, spread } from '../lib/rounds.ts'
import { atLeast, type Section, type Tools } from '../lib/section.ts'
import { type RunningServer, startWorkerd } from '../lib/workerd.ts'

/** The number of signed GETs for each way. All of them take about the same time. */
const WAYS = {
  presignMany: { name: '`presignMany`: many URLs, one template', count: 4000 },
  presign: { name: '`presign`: one URL, checked', count: 1500 },
  aws4fetch: { name: '`aws4fetch` with its key cache', count: 1500 },
  'aws-sdk': { name: '`@aws-sdk/s3-request-presigner`', count: 250 },
} as const

type Way = keyof typeof WAYS

/** Compares the time of a signature with other libraries. */
export async function measureSigning({ rounds }: Tools): Promise<Section> {
  const { script } = await bundle('tools/bench/peers/signers.ts')
  const server = await startWorkerd({ script, compatibilityDate: await compatibilityDate() })
  const subject = (way: Way) => () => microsecondsEach(server, way)
  for (const way of Object.keys(WAYS) as Way[]) await microsecondsEach(server, way) // warm
  const measured = await interleave(
    {
      presignMany: subject('presignMany'),
      presign: subject('presign'),
      aws4fetch: subject('aws4fetch'),
      'aws-sdk': subject('aws-sdk'),
    },
    rounds,
  )
  await server.close()

  const overAws4fetch = ratio(measured.aws4fetch, measured.presignMany)
  const overSdk = ratio(measured['aws-sdk'], measured.presignMany)
  return {
    id: 'signing',
    columns: {
      microseconds: 'µs a URL',
      urlsPerSecond: 'URLs/s',
      presignManyIsFaster: 'time relative to `presignMany`',
    },
    rows: (Object.keys(WAYS) as Way[]).map((way) => ({
      name: WAYS[way].name,
      values: {
        microseconds: spread(measured[way]),
        urlsPerSecond: spread(measured[way].map((each) => 1e6 / each)),
        presignManyIsFaster: ratio(measured[way], measured.presignMany),
      },
    })),
    targets: [
      atLeast('URLs a second with `presignMany`, relative to `aws4fetch`', overAws4fetch, 4),
      atLeast('URLs a second with `presignMany`, relative to the AWS SDK', overSdk, 20),
    ],
    chart: {
      title: 'Time to presign one URL, in one isolate',
      unit: 'µs',
      bars: (Object.keys(WAYS) as Way[]).map((way) => ({
        label: way,
        value: spread(measured[way]),
      })),
    },
  }
}

/**
 * Returns the time of one signature. workerd's clock doesn't advance while it computes, so this
 * measures the time of a request that signs, minus the time of one that doesn't.
 */
async function microsecondsEach({ port }: RunningServer, way: Way): Promise<number> {
  const { count } = WAYS[way]
  const empty = await milliseconds(`http://127.0.0.1:${port}/${way}?count=0`)
  const full = await milliseconds(`http://127.0.0.1:${port}/${way}?count=${count}`)
  return ((full - empty) * 1000) / count
}

async function milliseconds(url: string): Promise<number> {
  const start = performance.now()
  const response = await fetch(url)
  await response.text()
  if (!response.ok) throw new Error(`${url} answered with status ${response.status}.`)
  return performance.now() - start
}
