import { beforeAll, describe, expect, it, vi } from 'vitest'
import { captureLog } from '../support/capture-log.ts'
import { requests } from '../support/fuzz.ts'
import { type Answer, judge } from './judge.ts'
import { createGenerator, type Hostile } from './requests.ts'
import { readRoutes } from './routes.ts'
import { createWorld, type World } from './world.ts'

const routes = readRoutes()
const byName = new Map(routes.map((route) => [route.name, route]))
/** After this many requests, bucket and index are compared. */
const ROUND = 100

interface Line {
  readonly requestId?: string
  readonly route?: string
  readonly code?: string
  readonly reason?: string
}

interface Found {
  readonly problem: string
  readonly attacker: string
  readonly request: string
  readonly answer: string
}

const shown = ({ init, url }: Hostile): string =>
  `${init.method} ${url} ${init.body ?? ''}`.slice(0, 500)

/** Sends `count` requests of a seed. Returns what was wrong, and how many each attacker's got which status. */
async function attack(world: World, seed: number, count: number) {
  const lines = captureLog()
  const generator = createGenerator(world, routes, seed)
  const found: Found[] = []
  const statuses = new Map<string, number>()
  const succeeded = new Set<string>()
  let before = ''
  for (let i = 0; i < count; i++) {
    if (i % ROUND === 0) {
      if (i % (5 * ROUND) === 0) await world.refill()
      const now = await world.outside()
      if (i > 0 && now !== before)
        found.push({
          problem: `changed outside, before request ${i}`,
          attacker: '',
          request: before,
          answer: now,
        })
      before = now
    }
    const hostile = generator.next()
    lines.length = 0
    let request: Request
    try {
      request = new Request(hostile.url, hostile.init)
    } catch {
      continue // no client can send it
    }
    const { response, text } = await world.send(request)
    const line = lines
      .map((text) => parsed<Line>(text))
      .find((one) => one?.requestId === response.headers.get('X-Request-Id'))
    const answer: Answer = {
      ...{ status: response.status, location: response.headers.get('Location'), text },
      ...{ route: line?.route?.replace('/u/:token', ''), code: line?.code },
    }
    const problem = judge(hostile, answer, byName)
    const { attacker } = hostile
    if (problem !== null)
      found.push({
        problem,
        attacker: attacker.kind,
        request: shown(hostile),
        answer: `${response.status} ${line?.reason ?? ''} ${text}`.slice(0, 300),
      })
    const group = `${attacker.kind} ${Math.floor(response.status / 100)}xx`
    statuses.set(group, (statuses.get(group) ?? 0) + 1)
    if (response.ok) succeeded.add(`${hostile.init.method} ${answer.route}`)
    if (response.ok) {
      const body = parsed<Record<string, unknown>>(text)
      generator.learn(attacker, body)
      // The bytes of an upload, so that later requests have an object.
      if (typeof body?.uploadUrl === 'string' && generator.isLucky(0.5))
        await fetch(body.uploadUrl, {
          method: 'PUT',
          headers: body.headers as Record<string, string>,
          body: 'hello',
        }).then((put) => put.text())
    }
  }
  return { found, statuses, succeeded }
}

function parsed<T>(text: string): T | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

describe('hostile requests to every route of the document', () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld()
  })

  it.each([1, 2, 3])('do and show only what each attacker may: seed %d', async (seed) => {
    const count = Math.ceil(requests() / 3)
    const { found, statuses, succeeded } = await attack(world, seed, count)
    vi.restoreAllMocks()
    // What `npm run fuzz` prints.
    if (count > 1000)
      console.log(
        JSON.stringify({
          seed,
          count,
          statuses: Object.fromEntries(statuses),
          succeeded: [...succeeded].toSorted(),
        }),
      )
    expect(found.slice(0, 20)).toEqual([])
    expect(new Set([...statuses.keys()].map((group) => group.slice(0, -4))).size).toBe(
      world.attackers.length,
    )
    expect(succeeded.size).toBeGreaterThan(Math.min(15, count / 50))
  })
})
