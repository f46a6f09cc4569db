import type { Route, Schema } from './routes.ts'
import { type Attacker, ORIGIN, type World } from './world.ts'

/** Returns numbers from 0 to 1, always the same ones for a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** One hostile request. */
export interface Hostile {
  readonly attacker: Attacker
  readonly route: Route
  readonly url: string
  readonly init: RequestInit
}

/** Pieces that URL parsers, percent-decoders, JSON readers or file systems treat specially. */
const TRAPS: readonly string[] = [
  ...['.', '..', '../', '/../bob/', '//', '\\', '%', '%2e%2e%2f', '%00', '%zz', '%E0%A4', '+', ' '],
  ...['?', '#', '&', '=', "'", '"', '<script>', '{}', '\u00e9', 'e\u0301', '\u{1f600}', '\u202e'],
  ...['\u0000', '\n', '\r\n', '\u007f', '\ud800', '__proto__', 'constructor', '*', ':key', '/url'],
]
const TYPES = ['text/plain', 'image/png', 'text/html', 'application/json', 'TEXT/plain', 'none', '']
const NUMBERS = [0, 1, 2, 5, 60, 100, 300, 3600, 604_800, 1e6, 5e9, 1e15, -1, 0.5, Number.MAX_VALUE]

/** What values of this name look like. What is not here is text. */
const LIKELY: Readonly<Record<string, readonly unknown[]>> = {
  fileName: ['a.txt', 'My photo.JPG', 'x'],
  name: ['a.txt', 'b'],
  mimetype: TYPES.slice(0, 3),
  directory: ['2026/november', 'a'],
  size: [5, 100],
  expiresIn: [60, 100],
  overwrite: [true, false],
  deadline: [new Date(Date.now() + 3_600_000).toISOString()],
  before: [new Date().toISOString()],
  createdBefore: [new Date().toISOString()],
  scopes: [['files:read'], ['files:upload'], ['files:read', 'files:delete', 'upkeep:read']],
  subject: ['m', 'u', 'x'],
  owner: ['key:bob', 'key:mallory', 'key:mallory/m'],
  maxFiles: [1, 10],
  maxBytes: [1, 100],
  maxTotalBytes: [100, 1000],
  allowedTypes: [['text/*']],
  parts: [[{ partNumber: 1, etag: '"5d41402abc4b2a76b9719d911017c592"' }]],
  partNumbers: [[1, 2]],
  limit: ['1', '10', '1000'],
  delimiter: ['/'],
  from: ['mallory/a.txt', 'bob/secret.txt', 'Me'],
  to: ['mallory/copy.txt', 'bob/secret.txt', 'mallory2/a.txt'],
  etag: ['"5d41402abc4b2a76b9719d911017c592"'],
  ifMatch: ['"5d41402abc4b2a76b9719d911017c592"', '*'],
  uses: [1],
  type: ['text/plain', 'image/*'],
  password: ['password1'],
}

/** Returns a generator of requests, which remembers what answers have given to the attackers. */
export function createGenerator(world: World, routes: readonly Route[], seed: number) {
  const random = randomOf(seed)
  const below = (count: number): number => Math.floor(random() * count)
  const pick = <T>(all: readonly [T, ...T[]] | readonly T[]): T => all[below(all.length)] as T
  const isLucky = (chance: number): boolean => random() < chance
  /** How often a value of the next request is wrong: many requests must get past the first check. */
  let carelessness = 0
  /** What answers had, by the name of the member. */
  const learned = new Map<string, string[]>()

  const trap = (): string =>
    Array.from({ length: 1 + below(4) }, () => pick([...TRAPS, 'a', 'bob/', 'mallory/'])).join('')

  /** Returns the name of what a member or a parameter holds. */
  const kindOf = (name: string): string =>
    ({ keys: 'key', from: 'key', to: 'key', cursor: 'cursor' })[name] ?? name

  function likely(name: string, attacker: Attacker): unknown {
    const kind = kindOf(name)
    const known = attacker.knows[kind]
    if (known !== undefined && isLucky(0.8)) return known
    const kept = learned.get(`${attacker.kind} ${kind}`) ?? []
    const own = kind === 'key' || kind === 'prefix' ? [attacker.prefix ?? ''] : []
    const ownKeys = own.map((prefix) =>
      kind === 'key' ? `${prefix}${pick(['a', 'new', 'b'])}.txt` : prefix,
    )
    const all = [
      ...[...kept.slice(-5), ...ownKeys, ...ownKeys],
      ...(world.public[kind] ?? []),
      ...(LIKELY[name] ?? LIKELY[kind] ?? []),
    ]
    return all.length === 0 ? pick(['x', '1', 'true', '{}', 'uploads/a.txt']) : pick(all)
  }

  function wrong(): unknown {
    return pick([
      trap,
      () => pick(NUMBERS),
      () => null,
      () => true,
      () => [],
      () => ({ a: 1 }),
      () => 'x'.repeat(below(3000)),
    ])()
  }

  function valueFor(name: string, schema: Schema, attacker: Attacker): unknown {
    if (isLucky(carelessness)) return wrong()
    const chosen = schema.anyOf === undefined ? schema : pick(schema.anyOf)
    if (chosen.enum !== undefined) return pick(chosen.enum)
    const type = [chosen.type].flat()[0]
    if (type === 'object') return objectOf(chosen, attacker)
    if (LIKELY[name] !== undefined) return likely(name, attacker)
    if (type === 'array')
      return Array.from({ length: 1 + below(3) }, () =>
        valueFor(name, chosen.items ?? {}, attacker),
      )
    if (type === 'integer' || type === 'number') return pick(NUMBERS)
    if (type === 'boolean') return isLucky(0.5)
    return likely(name, attacker)
  }

  function objectOf(schema: Schema, attacker: Attacker): Record<string, unknown> {
    const all = Object.entries(schema.properties ?? {})
    const required = new Set((schema as { required?: readonly string[] }).required)
    const members = all.flatMap(([name, one]): [string, unknown][] =>
      isLucky(required.has(name) ? 1 - carelessness / 4 : 0.15 + carelessness)
        ? [[name, valueFor(name, one, attacker)]]
        : [],
    )
    if (isLucky(carelessness / 3)) members.push([trap(), wrong()])
    return Object.fromEntries(members)
  }

  function pathOf(route: Route, attacker: Attacker): string {
    return route.path.replace(/:(\w+)/g, (_, name: string) => {
      const value = isLucky(carelessness) ? trap() : String(likely(name, attacker))
      // Mostly as a client encodes it.
      return isLucky(0.9) ? encodeURIComponent(value.toWellFormed()) : value.toWellFormed()
    })
  }

  function bodyOf(route: Route, attacker: Attacker): BodyInit | null {
    if (isLucky(0.03)) return pick(['', '{', '[]', 'null', '"x"', '\u0000', '{"a":1,"a":2}', 'a=1'])
    if (route.body === null) return isLucky(0.9) ? null : '{}'
    return JSON.stringify(objectOf(route.body, attacker))
  }

  function queryOf(route: Route, attacker: Attacker): string {
    const asked = route.query.flatMap(({ name, schema }): [string, string][] =>
      isLucky(0.25) ? [[name, String(valueFor(name, schema, attacker))]] : [],
    )
    if (isLucky(0.03)) asked.push([trap().toWellFormed(), 'x'])
    if (isLucky(0.02) && asked[0]) asked.push(asked[0])
    const query = asked.map((pair) =>
      pair.map((text) => encodeURIComponent(text.toWellFormed())).join('='),
    )
    return query.length === 0 ? '' : `?${query.join('&')}`
  }

  return {
    next(): Hostile {
      carelessness = pick([0, 0.02, 0.15])
      const attacker = pick(world.attackers)
      // Those with one secret use its routes often.
      const known = routes.filter(({ path }) => attacker.knows.secret && path.includes(':secret'))
      const route = known.length > 0 && isLucky(0.4) ? pick(known) : pick(routes)
      const inPath = attacker.token !== undefined && route.scopes !== null && isLucky(0.2)
      const base = inPath ? `/u/${attacker.token}` : ''
      const shared = [
        attacker.knows.link,
        attacker.knows.folder &&
          `${attacker.knows.folder}${pick(['a.txt', '../secret.txt', '%2e%2e/secret.txt', trap()])}`,
      ]
      const link = pick(shared)
      const url =
        link && isLucky(0.3)
          ? `${link}${isLucky(0.3) ? trap().toWellFormed() : ''}`
          : ORIGIN + base + pathOf(route, attacker) + queryOf(route, attacker)
      const method =
        link && url.startsWith(link)
          ? 'GET'
          : isLucky(0.03)
            ? pick(['PUT', 'DELETE', 'PATCH', 'HEAD', 'POST', 'GET'])
            : route.method
      const body = method === 'GET' || method === 'HEAD' ? null : bodyOf(route, attacker)
      const type = isLucky(0.97)
        ? 'application/json'
        : pick(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', ''])
      const headers = {
        ...(inPath && isLucky(0.8) ? {} : attacker.headers),
        ...(body === null ? {} : { 'Content-Type': type }),
        ...(isLucky(0.05) ? { Origin: pick(['https://evil.example', 'null', ORIGIN]) } : {}),
        ...(isLucky(0.05) ? { Range: pick(['bytes=0-1', 'bytes=-1', 'bytes=9-1']) } : {}),
        ...(isLucky(0.03) ? { 'X-User-Tag': 'x' } : {}),
      }
      return {
        attacker,
        route,
        url,
        init: { method, headers, ...(body !== null && { body }), redirect: 'manual' },
      }
    },

    /** Keeps what an answer gave to an attacker, to use it in later requests. */
    learn({ kind }: Attacker, answer: unknown): void {
      if (typeof answer !== 'object' || answer === null) return
      for (const [name, value] of Object.entries(answer))
        if (typeof value === 'object') this.learn({ kind } as Attacker, value)
        else if (typeof value === 'string' && value.length < 4000) {
          const kept = learned.get(`${kind} ${name}`) ?? []
          learned.set(`${kind} ${name}`, [...kept, value].slice(-20))
        }
    },
    isLucky,
  }
}
