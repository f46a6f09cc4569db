import { httpRequest } from '../lib/load.ts'
import { API_KEY, keys } from '../lib/presigner.ts'
import { residentMebibytes } from '../lib/process.ts'
import { atMost, type Row, type Section, type Tools } from '../lib/section.ts'

const SIGNATURES = 1e6
const STEPS = 5
const KEYS = 1000

/** Measures the memory of the Worker while it signs a million URLs. */
export async function measureFootprint({ presigner, generator }: Tools): Promise<Section> {
  const server = await presigner.start()
  const requests = Array.from({ length: 20 }, (_, i) =>
    httpRequest('/files/urls', API_KEY, { keys: keys(KEYS, i * KEYS) }),
  )
  const sign = (count: number) =>
    generator.load(server, { requests, connections: 1, seconds: 600, count: count / KEYS })
  const started = residentMebibytes(server.pid)
  const memory: { signatures: number; mebibytes: number }[] = []
  for (let step = 1; step <= STEPS; step++) {
    await sign(SIGNATURES / STEPS)
    memory.push({
      signatures: (step * SIGNATURES) / STEPS,
      mebibytes: residentMebibytes(server.pid),
    })
  }
  await server.close()

  const [, warm, ...later] = memory.map(({ mebibytes }) => mebibytes)
  const growth = (later.at(-1) ?? Number.NaN) / (warm ?? Number.NaN)
  const rows: Row[] = [
    { name: 'workerd after its start, MiB resident', values: { value: started } },
    ...memory.map(({ signatures, mebibytes }) => ({
      name: `after ${signatures.toLocaleString('en')} signatures, MiB resident`,
      values: { value: mebibytes },
    })),
  ]
  return {
    id: 'footprint',
    columns: { value: 'measured' },
    rows,
    targets: [atMost('Memory after 1e6 signatures, relative to 4e5', growth, 1.1)],
    chart: {
      title: 'Memory of the workerd process while it signs a million URLs',
      unit: 'MiB',
      bars: memory.map(({ signatures, mebibytes }) => ({
        label: `${signatures.toLocaleString('en')} signatures`,
        value: mebibytes,
      })),
    },
  }
}
