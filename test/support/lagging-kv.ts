import { byUtf8 } from '../../src/keys/encodings.ts'

/** One write of a name. A removal has no metadata. */
interface Write {
  readonly at: number
  readonly location: number
  readonly metadata: unknown
  readonly expiresAt: number
  /** When each location shows it. */
  readonly shownAt: readonly number[]
}

/** At most, a location shows the writes of another one so much later, in milliseconds. */
export const MAX_LAG = 60_000

/**
 * Workers KV as its documentation describes it, with several locations: a write is visible at once where it was made, and
 * elsewhere after a while that differs from write to write. The last write wins. A second write of a name
 * within a second is refused.
 */
export class LaggingKv {
  readonly #writes = new Map<string, Write[]>()
  readonly #locations: number
  readonly #clock: () => number
  readonly #random: () => number

  constructor(locations: number, clock: () => number, random: () => number) {
    this.#locations = locations
    this.#clock = clock
    this.#random = random
  }

  /** Returns the namespace as a location shows it. */
  at(location: number): KVNamespace {
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
      ) => this.#write(name, location, metadata, expirationTtl),
      delete: async (name: string) => this.#write(name, location, undefined),
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

  /** Tells whether two locations have written one of these names within the time that a change takes. */
  hasConflict(names: readonly string[]): boolean {
    const writes = names.flatMap((name) => this.#writes.get(name) ?? [])
    return writes.some((one) =>
      writes.some(
        (other) => one.location !== other.location && Math.abs(one.at - other.at) <= 2 * MAX_LAG,
      ),
    )
  }

  #shown(name: string, location: number): Write | undefined {
    const now = this.#clock()
    const shown = this.#writes.get(name)?.filter(({ shownAt }) => (shownAt[location] ?? 0) <= now)
    const last = shown?.at(-1)
    return last && last.expiresAt > now ? last : undefined
  }

  #write(name: string, location: number, metadata: unknown, ttl = Infinity): void {
    const at = this.#clock()
    const writes = this.#writes.get(name) ?? []
    const last = writes.at(-1)
    if (last !== undefined && at - last.at < 1000)
      throw new Error('KV PUT failed: 429 Too Many Requests')
    const shownAt = Array.from({ length: this.#locations }, (_, i) =>
      i === location ? at : at + Math.ceil(this.#random() * MAX_LAG),
    )
    const expiresAt = at + ttl * 1000
    this.#writes.set(name, [...writes, { at, location, metadata, expiresAt, shownAt }])
  }
}
