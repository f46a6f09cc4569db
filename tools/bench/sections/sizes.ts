import {
  CORE,
  PLUGINS,
  packageBundles,
  type SizedBundle,
  sizedBundle,
} from '../lib/bundle-sizes.ts'
import type { Section, Tools } from '../lib/section.ts'

/** What others bundle for the same routes. */
const PEERS: Readonly<Record<string, Parameters<typeof sizedBundle>[0]>> = {
  'better-upload on Hono': { entryPoints: ['tools/bench/peers/better-upload.ts'] },
  'Express and the AWS SDK': { entryPoints: ['tools/bench/peers/express.ts'], platform: 'node' },
}

/** Measures the bundles of apps that use a part of the package. */
export async function measureSizes({ presigner, everything }: Tools): Promise<Section> {
  const bundles = await packageBundles()
  const core = bundles.get(CORE)?.gzipKib ?? Number.NaN
  const peers = Object.entries(PEERS).map(
    async ([name, entry]) => [name, await sizedBundle(entry)] as const,
  )
  const all: (readonly [string, Pick<SizedBundle, 'bytes' | 'gzipKib'>])[] = [
    ...[...bundles].map(
      ([name, one]) => [PLUGINS.includes(name) ? `the core with ${name}` : name, one] as const,
    ),
    ['the default Worker, with its settings', presigner.bundle],
    ['the Worker with all plugins', everything.bundle],
    ...(await Promise.all(peers)),
  ]
  return {
    id: 'sizes',
    columns: {
      kib: 'minified, KiB',
      gzipKib: 'minified and gzip -9, KiB',
      added: 'more than the core, KiB',
      ofCore: 'relative to the core',
    },
    rows: all.map(([name, { bytes, gzipKib }]) => ({
      name,
      values: {
        kib: bytes / 1024,
        gzipKib,
        ...(name.startsWith('the core with') ? { added: gzipKib - core } : {}),
        ofCore: gzipKib / core,
      },
    })),
    targets: [],
    chart: {
      title: 'Bundles, minified and compressed with gzip -9',
      unit: 'KiB',
      bars: all.map(([name, { gzipKib }]) => ({ label: shortened(name), value: gzipKib })),
    },
  }
}

/** Returns a label that a chart has room for: the functions of the plugins, or the start of the name. */
function shortened(name: string): string {
  const calls = [...name.matchAll(/(\w+)\(/g)].map(([, call]) => call)
  return calls.length > 0 ? calls.join(' + ') : name.replace(/[:,].*|`/g, '')
}
