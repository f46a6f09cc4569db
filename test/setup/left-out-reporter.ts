import type { Reporter, TestModule } from 'vitest/node'
import type { SystemPackage } from '../e2e/system-package.ts'

/** Vitest's last line: the files of which tests were left out, because a system package is missing. */
export default class LeftOutReporter implements Reporter {
  readonly #print: (line: string) => void

  constructor({ print = console.log }: { print?: (line: string) => void } = {}) {
    this.#print = print
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const files = new Set<string>()
    const packages = new Map<string, SystemPackage>()
    for (const module of modules)
      for (const suite of module.children.allSuites())
        for (const each of suite.meta().missing ?? []) {
          files.add(module.relativeModuleId)
          packages.set(each.name, each)
        }
    if (files.size === 0) return
    const reasons = [...packages.values()].map(({ name, install }) => `${name} (${install})`)
    this.#print(
      `LEFT OUT: tests of ${[...files].toSorted().join(', ')}. Missing: ${reasons.join(', ')}`,
    )
  }
}
