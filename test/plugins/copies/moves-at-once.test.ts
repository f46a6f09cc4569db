import { AwsV4Signer } from 'aws4fetch'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { settingsInput } from '../../support/app.ts'
import { testDatabase } from '../../support/d1.ts'
import { mount } from '../../support/mount.ts'
import { lapsingIndex } from './lapsing-index.ts'

/** For each index with each server. */
const ROUNDS = inject('fuzzFactor') === 1 ? 5 : 200
/** The share of steps that get no answer, or in which the Worker is killed. */
const LOSS_RATE = 0.03

interface Move {
  readonly from: string
  readonly to: string
  readonly overwrite?: boolean
}

/** A move, its repeat and its undo, and moves that overwrite its keys. */
const MOVES: readonly Move[] = [
  { from: 'a', to: 'b' },
  { from: 'a', to: 'b' },
  { from: 'b', to: 'a' },
  { from: 'b', to: 'a', overwrite: true },
  { from: 'c', to: 'a', overwrite: true },
]

/** Returns numbers from 0 to 1, which are the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const tick = () => new Promise((resolve) => setTimeout(resolve))

/** Lets the steps of all requests go one after another, in a random order. */
class Gates {
  readonly #random: () => number
  readonly #waiting: (() => Promise<unknown>)[] = []
  lossRate = 0
  /** Whether the Worker was killed in one of the requests, which then never ends. */
  hasKilled = false

  constructor(random: () => number) {
    this.#random = random
  }

  /** Waits for its turn, and acts. Some steps get no answer, and may take effect at any later moment. */
  pass<T>(act: () => Promise<T>, mayTakeEffect: boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(async () => {
        if (this.#random() >= this.lossRate) return act().then(resolve, reject)
        const effect = mayTakeEffect ? this.#random() : 1
        if (effect < 0.3) await act()
        else if (effect < 0.7) this.#waiting.push(act)
        if (!this.hasKilled && this.#random() < 0.5) this.hasKilled = true
        else reject(new TypeError('Network connection lost.'))
      })
    })
  }

  /** Opens one gate after another, until `isOver` and nobody waits or comes. */
  async open(isOver: () => boolean): Promise<void> {
    for (let pauses = 0; pauses < 5; ) {
      const at = Math.floor(this.#random() * this.#waiting.length)
      await this.#waiting.splice(at, 1)[0]?.()
      await tick()
      pauses = this.#waiting.length === 0 && isOver() ? pauses + 1 : 0
    }
  }
}

const BODY = 'All files have the same bytes.'
const realFetch = fetch

/** Returns a bucket, past all gates, in which the metadata of an object tells whose file it is. */
function bucketAt(endpoint: string, prefix: string) {
  async function send(name: string, method: string, id?: number): Promise<Response> {
    const url = `${endpoint}/files/${prefix}${name}`
    const headers = { 'Content-Type': 'text/plain', ...(id && { 'x-amz-meta-id': String(id) }) }
    const body = method === 'PUT' ? BODY : null
    const key = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', service: 's3' }
    const request = { ...key, region: 'us-east-1', url, method, headers, body, allHeaders: true }
    const signed = await new AwsV4Signer(request).sign()
    return realFetch(signed.url, { method, headers: signed.headers, body })
  }
  const idOf = async (name: string) =>
    Number((await send(name, 'HEAD')).headers.get('x-amz-meta-id') ?? 0)
  return {
    put: async (name: string, id: number) => expect((await send(name, 'PUT', id)).status).toBe(200),
    idOf,
    ids: () => Promise.all(['a', 'b', 'c'].map(idOf)),
  }
}

const INDEXES = { memory: memoryFileIndex, D1: () => d1FileIndex(testDatabase) }
const SERVERS = { s3rver: 's3', 'a simulated R2': 'r2' } as const

afterEach(() => vi.unstubAllGlobals())

async function play(
  index: keyof typeof INDEXES,
  server: keyof typeof SERVERS,
  seed: number,
): Promise<{ readonly lost: readonly number[]; readonly answers: readonly number[] }> {
  const random = randomOf(seed)
  const prefix = `at-once/${index}/${seed}/`
  const endpoint = `http://127.0.0.1:${inject('testPorts')[SERVERS[server]]}`
  const bucket = bucketAt(endpoint, prefix)
  const gates = new Gates(random)
  let isGated = false
  const gate = <T>(act: () => Promise<T>, mayTakeEffect: boolean) =>
    isGated ? gates.pass(act, mayTakeEffect) : act()
  const records = lapsingIndex(INDEXES[index](), () => gate(async () => {}, false))
  const [files] = Object.values(settingsInput().buckets)
  if (files === undefined) throw new Error('There is no bucket.')
  const conditionalPut = server !== 's3rver'
  const app = mount({
    files: { index: records },
    settings: { buckets: { files: { ...files, endpoint, conditionalPut } } },
  })

  const names = random() < 0.5 ? ['a', 'c'] : ['a', 'b', 'c']
  for (const name of names) {
    await bucket.put(name, names.indexOf(name) + 1)
    await app.post('/media/files', { key: prefix + name })
  }
  const moves = MOVES.filter(() => random() < 0.7)
  /** Ids of files that a move has replaced, as it was asked to. */
  const ended = new Set<number>()
  const copy = async (input: string, init: RequestInit, source: string): Promise<Response> => {
    const [from, to] = [source.slice(-1), new URL(input).pathname.slice(-1)]
    const old = await bucket.idOf(to)
    const response = await realFetch(input, init)
    const mayReplace = moves.some((move) => move.from === from && move.to === to && move.overwrite)
    if (old > 0 && mayReplace && !(await bucket.ids()).includes(old)) ended.add(old)
    return response
  }
  vi.stubGlobal('fetch', (input: string, given: RequestInit = {}) =>
    gate(() => {
      const init = { ...given, signal: null }
      const source = new Headers(init.headers).get('x-amz-copy-source')
      return source === null ? realFetch(input, init) : copy(input, init, source)
    }, true),
  )

  const answers = new Map<Move, number>()
  let rest = moves
  for (let phase = 0; rest.length > 0 && phase < 8; phase += 1) {
    isGated = true
    gates.lossRate = phase < 3 ? LOSS_RATE : 0
    gates.hasKilled = false
    let left = rest.length
    for (const move of rest) {
      const { from, to, ...more } = move
      answers.delete(move)
      app
        .post('/media/files/move', { from: prefix + from, to: prefix + to, ...more })
        .then(({ status }) => answers.set(move, status))
        .finally(() => {
          left -= 1
        })
    }
    await gates.open(() => left <= (gates.hasKilled ? 1 : 0))
    isGated = false
    // Five minutes pass.
    await records.lapse()
    rest = moves.filter((move) => (answers.get(move) ?? 500) >= 500)
  }
  vi.unstubAllGlobals()
  expect(rest, 'moves that never end').toEqual([])
  const found = await bucket.ids()
  const lost = names.map((_, i) => i + 1).filter((id) => !found.includes(id) && !ended.has(id))
  return { lost, answers: [...answers.values()] }
}

// @threat move-loses
describe.each(Object.keys(INDEXES) as (keyof typeof INDEXES)[])('with an index in %s', (index) => {
  it.each(Object.keys(SERVERS) as (keyof typeof SERVERS)[])(
    'moves, their repeats and their undo at once lose no file: %s',
    async (server) => {
      const counts: Record<number, number> = {}
      for (let seed = 1; seed <= ROUNDS; seed += 1) {
        const { lost, answers } = await play(index, server, seed)
        expect(lost, `seed ${seed}`).toEqual([])
        for (const status of answers) counts[status] = (counts[status] ?? 0) + 1
      }
      // Some moves are done, and some find that another one was faster.
      expect(counts[201]).toBeGreaterThan(0)
    },
  )
})
