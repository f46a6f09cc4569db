import type { ListedPage, ListInput } from './file-index.ts'

/** The orders of a list. `-` is descending. Without one, a list is in the order of the keys. */
export const SORTS = ['createdAt', '-createdAt', 'name', '-name', 'size', '-size'] as const

export type Sort = (typeof SORTS)[number]

/** What `GET /stats` groups by. */
export const GROUPS = ['type', 'owner', 'day', 'folder'] as const

export type GroupBy = (typeof GROUPS)[number]

/** A question for an index that answers. Every condition must hold. */
export interface FileQuery extends ListInput {
  /** Words of the name, or their beginnings, in any order. Case and accents don't matter. */
  readonly q?: string | undefined
  readonly sort?: Sort | undefined
  /** A media type such as `image/png`, or `image/*`. */
  readonly type?: string | undefined
  /** Id of the principal who recorded the file. */
  readonly owner?: string | undefined
  /** Files of this time or later, ISO 8601 in UTC. */
  readonly createdAfter?: string | undefined
  /** Files before this time, ISO 8601 in UTC. */
  readonly createdBefore?: string | undefined
  /** Bytes. */
  readonly minSize?: number | undefined
  /** Bytes. */
  readonly maxSize?: number | undefined
  /** Only files directly below `prefix`, and the folders there. Not with a filter or `q`. */
  readonly delimiter?: '/' | undefined
}

export interface Totals {
  readonly count: number
  readonly bytes: number
}

export interface Folder extends Totals {
  /** The start of its files' keys, up to and with `/`. */
  readonly prefix: string
}

export interface AnsweredPage extends ListedPage {
  /** With `delimiter`: the folders come before the files, in the order of their names. */
  readonly folders?: readonly Folder[] | undefined
}

export interface StatsQuery {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly prefix: string
  readonly groupBy?: GroupBy | undefined
}

export interface Group extends Totals {
  /** A media type, the owner's id or null, a day such as 2026-11-28, or the prefix of a folder. */
  readonly value: string | null
}

export interface Stats extends Totals {
  /** With `groupBy`: at most 1000, days from the newest, others from the most bytes. */
  readonly groups?: readonly Group[] | undefined
}

/** What an index answers beyond lists by prefix. Both throw `unavailable`. */
export interface FileAnswers {
  /** Returns a page. `cursor` belongs to the same question. */
  find(query: FileQuery): Promise<AnsweredPage>
  stats(query: StatsQuery): Promise<Stats>
}
