import { byUtf8 } from '../../src/keys/encodings.ts'

/** One write of a name. A removal has no metadata. */
export interface KvWrite {
  readonly at: number
  readonly location: number
  /** Who has written. */
  readonly by: string
  readonly metadata: unknown
  readonly expiresAt: number
  /** When each location shows it. */
  readonly shownAt: readonly number[]
}

/** A write over one of another location that its own did not show yet. */
export interface BlindWrite {
  readonly write: KvWrite
  readonly over: KvWrite
}

/** At most, a location shows the writes of another one so much later, in milliseconds. */
export const MAX_LAG = 60_000

/**
 * Workers KV as its documentation describes it, with several locations: a write is visible at once where it was made, and
 * elsewhere after a while that differs from write to write. The last write wins. A second write of a name
 * within a second is refused.
 */
export class LaggingKv {
  readonly #writes = new Map<string, KvWrite[]>()
  readonly #locations: number
  readonly #clock: () => number
  readonly #random: () => number

  constructor(locations: number, clock: () => number, random: () => number) {
    this.#locations = locations
    this.#clock = clock
    this.#random = random
  }

  /** Returns the namespace as a location shows it, for somebody. */
  at(location: number, by = ''): KVNamespace {
    const entry = (name: string) => {
      const { metadata } = this.#shown(name, location) ?? {}
      return metadata === undefined ? { value: null, metadata: null } : { value: '', metadata }
    }
    const namespace = {
      getWithMetadata: async (names: string | readonly string[]) =>
        typeof names === 'string'
          ? entry(names)
          : new Map(names.map((name) => [name, entry(name)] as const)),
      put: async (
        name: string,
        _: string,
        { metadata, expirationTtl }: { metadata: unknown; expirationTtl?: number },
      ) => this.#write(name, { location, by, metadata }, expirationTtl),
      delete: async (name: string) => this.#write(name, { location, by, metadata: undefined }),
      list: async ({ prefix, limit = 1000, cursor }: KVNamespaceListOptions) => {
        const all = [...this.#writes.keys()]
          .filter((name) => name.startsWith(prefix ?? '') && byUtf8(name, cursor ?? '') > 0)
          .filter((name) => this.#shown(name, location)?.metadata !== undefined)
          .sort(byUtf8)
        const names = all.slice(0, limit)
        const keys = names.map((name) => ({ name, metadata: entry(name).metadata }))
        return { keys, list_complete: all.length <= limit, cursor: names.at(-1) }
      },
    }
    return namespace as unknown as KVNamespace
  }

  /** Returns the writes of a name that did not see what another location had written before. */
  blind(name: string): readonly BlindWrite[] {
    const writes = this.#writes.get(name) ?? []
    return writes.flatMap((write, i) =>
      writes
        .slice(0, i)
        .filter(({ shownAt }) => (shownAt[write.location] ?? 0) > write.at)
        .map((over) => ({ write, over })),
    )
  }

  #shown(name: string, location: number): KvWrite | undefined {
    const now = this.#clock()
    const shown = this.#writes.get(name)?.filter(({ shownAt }) => (shownAt[location] ?? 0) <= now)
    const last = shown?.at(-1)
    return last && last.expiresAt > now ? last : undefined
  }

  #write(name: string, write: Pick<KvWrite, 'location' | 'by' | 'metadata'>, ttl = Infinity): void {
    const at = this.#clock()
    const writes = this.#writes.get(name) ?? []
    const last = writes.at(-1)
    if (last !== undefined && at - last.at < 1000)
      throw new Error('KV PUT failed: 429 Too Many Requests')
    const shownAt = Array.from({ length: this.#locations }, (_, i) =>
      i === write.location ? at : at + Math.ceil(this.#random() * MAX_LAG),
    )
    const expiresAt = at + ttl * 1000
    this.#writes.set(name, [...writes, { ...write, at, expiresAt, shownAt }])
  }
}
