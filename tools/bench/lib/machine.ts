import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { WORKERD_VERSION } from './workerd.ts'

/** The machine and the versions of a measurement. */
export interface Machine {
  readonly cores: number
  readonly cpu: string
  readonly memoryGibibytes: number
  readonly system: string
  readonly node: string
  readonly workerd: string
  /** Versions of the peers, by package. */
  readonly peers: Readonly<Record<string, string>>
}

export function describeMachine(): Machine {
  const manifest: { readonly dependencies: Record<string, string> } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGibibytes: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release().split('-')[0]}`,
    node: process.version.slice(1),
    workerd: WORKERD_VERSION,
    peers: manifest.dependencies,
  }
}
