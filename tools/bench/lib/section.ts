import type { LoadGenerator } from './load.ts'
import type { Presigner } from './presigner.ts'
import type { Spread } from './rounds.ts'

/** One row of a table: what was measured, and its numbers by column name. */
export interface Row {
  readonly name: string
  readonly values: Readonly<Record<string, Spread | number>>
}

/** Heading and unit of a column, by the name that rows use. */
export type Columns = Readonly<Record<string, string>>

/** A promise of the design, and its result. */
export interface Target {
  readonly text: string
  readonly measured: Spread | number
  readonly met: boolean
}

/** Bars on one scale, drawn from the medians, with whiskers from the minimum to the maximum. */
export interface Chart {
  readonly title: string
  readonly unit: string
  readonly bars: readonly { readonly label: string; readonly value: Spread | number }[]
}

/** One subject of the bench: a table, a chart, and the targets that it decides. */
export interface Section {
  readonly id: string
  readonly columns: Columns
  readonly rows: readonly Row[]
  readonly targets: readonly Target[]
  readonly chart: Chart
}

/** What every section uses. */
export interface Tools {
  /** The default Worker. */
  readonly presigner: Presigner
  /** The one with all plugins. */
  readonly everything: Presigner
  readonly generator: LoadGenerator
  readonly rounds: number
}

const middle = (value: Spread | number): number =>
  typeof value === 'number' ? value : value.median

/** Returns a target of at least `bound`. The median decides. */
export const atLeast = (text: string, measured: Spread | number, bound: number): Target => ({
  text: `${text}: at least ${bound}`,
  measured,
  met: middle(measured) >= bound,
})

/** Returns a target of at most `bound`. The median decides. */
export const atMost = (text: string, measured: Spread | number, bound: number): Target => ({
  text: `${text}: at most ${bound}`,
  measured,
  met: middle(measured) <= bound,
})
