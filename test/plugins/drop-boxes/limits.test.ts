import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Begun, completeParts, startInParts } from '../../support/drop-box-parts.ts'
import {
  askToken,
  createBox,
  currently,
  DAY,
  type DropBox,
  HOUR,
  inBox,
  inFuture,
  MINUTE,
  objectOf,
  outcome,
  passes,
  putTo,
  type Sender,
  visit,
} from '../../support/drop-boxes.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

afterEach(() => {
  vi.useRealTimers()
})

/** Returns senders of different networks. */
const crowd = (box: DropBox, size: number): Promise<Sender[]> =>
  Promise.all(
    Array.from({ length: size }, (_, i) => visit(box, { ip: `10.0.${i >> 8}.${i & 255}` })),
  )

const tally = (outcomes: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    Object.entries(Object.groupBy(outcomes, (one) => one)).map(([name, all = []]) => [
      name,
      all.length,
    ]),
  )

describe('200 senders at once', () => {
  // @threat box-over-limit
  it('get the last files exactly as often as they fit', async () => {
    const box = await createBox({ maxFiles: 50, maxTotalBytes: 1_000_000 })
    const senders = await crowd(box, 200)
    const answers = await Promise.all(senders.map(async (one) => outcome(await one.begin())))
    expect(tally(answers)).toEqual({ '200': 50, '429 rate_limited': 150 })
  })

  it('get the last bytes exactly as often as they fit', async () => {
    const box = await createBox({ maxFiles: 1000, maxTotalBytes: 77 })
    const senders = await crowd(box, 200)
    const answers = await Promise.all(senders.map(async (one) => outcome(await one.begin(7))))
    expect(tally(answers)).toEqual({ '200': 11, '429 rate_limited': 189 })
  })

  it('get the last file once, all the way to the record', async () => {
    const box = await createBox({ maxFiles: 3 })
    const senders = await crowd(box, 200)
    await Promise.all(
      senders.map(async (one) => {
        const begun = await one.begin()
        if (begun.status !== 200) return
        const key = await putTo(one, await begun.json<Begun>(), 'hello')
        expect((await one.record(key)).status).toBe(201)
      }),
    )
    expect((await currently(box)).received).toEqual({ files: 3, bytes: 15 })
  })

  // @threat box-over-limit
  it('never record more than the last 10 MB, also if nobody confirms', async () => {
    const box = await createBox({ maxFiles: 1000, maxBytes: 4e6, maxTotalBytes: 11e6 })
    await (await visit(box, { ip: '203.0.113.9' })).send('x'.repeat(1e6))
    const senders = await crowd(box, 200)
    const done = await Promise.all(
      senders.map(async (one, i) => {
        const content = 'x'.repeat(200_000 + (i % 7) * 450_000)
        const begun = await one.begin(content.length)
        if (begun.status !== 200) return begun.status
        const key = await putTo(one, await begun.json<Begun>(), content)
        // The object looks for every other one.
        return i % 2 === 0 ? (await one.record(key)).status : 0
      }),
    )
    expect(done).toContain(201)
    expect(done).toContain(429)
    for (const wait of [0, 31 * MINUTE]) {
      await passes(wait, box)
      const page = await worker.fetch(`/files?prefix=${box.prefix}&limit=1000`)
      const { files } = await page.json<{ files: { size: number }[] }>()
      const bytes = files.reduce((sum, { size }) => sum + size, 0)
      expect(bytes).toBeLessThanOrEqual(11e6)
      expect((await currently(box)).received.bytes).toBeLessThanOrEqual(11e6)
      // Nearly all of it is used.
      if (wait > 0) expect(bytes).toBeGreaterThan(7e6)
    }
  })
})

describe('one sender', () => {
  // @threat box-blocked
  it('holds at most four open reservations, and others can still send', async () => {
    const box = await createBox({ maxFiles: 100 })
    const ann = await visit(box, { ip: '203.0.113.1' })
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => outcome(await ann.begin())),
    )
    expect(tally(answers)).toEqual({ '200': 4, '429 rate_limited': 16 })
    const refused = await ann.begin()
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0)
    // Neither another page nor another name changes that.
    const again = await visit(box, { ip: '203.0.113.1', sender: { name: 'Eve' } })
    expect(await outcome(await again.begin())).toBe('429 rate_limited')
    const bob = await visit(box, { ip: '203.0.113.2' })
    expect((await bob.send()).status).toBe(201)
  })

  it('holds at most half of the files', async () => {
    const box = await createBox({ maxFiles: 3 })
    const ann = await visit(box, { ip: '203.0.113.1' })
    const answers = []
    for (let i = 0; i < 3; i++) answers.push(await outcome(await ann.begin()))
    expect(answers).toEqual(['200', '200', '429 rate_limited'])
  })

  it('holds at most half of the bytes, unless it is one file', async () => {
    const box = await createBox({ maxTotalBytes: 100, maxBytes: 100 })
    const ann = await visit(box, { ip: '203.0.113.1' })
    expect(await outcome(await ann.begin(30))).toBe('200')
    expect(await outcome(await ann.begin(30))).toBe('429 rate_limited')
    expect(await outcome(await ann.begin(20))).toBe('200')
    const bob = await visit(box, { ip: '203.0.113.2' })
    expect(await outcome(await bob.begin(50))).toBe('200')
    expect(await outcome(await bob.begin(1))).toBe('429 rate_limited')
  })

  it('may send one file after the other, as many as fit', async () => {
    const box = await createBox({ maxFiles: 6, maxTotalBytes: 30 })
    const ann = await visit(box)
    for (let i = 0; i < 6; i++) expect((await ann.send()).status).toBe(201)
    expect(await outcome(await ann.begin())).toBe('409 drop_box_full')
  })

  it('counts an IPv6 network as one', async () => {
    const box = await createBox({ maxFiles: 2 })
    const ann = await visit(box, { ip: '2001:db8:1:2::1' })
    expect(await outcome(await ann.begin())).toBe('200')
    const same = await visit(box, { ip: '2001:db8:1:2:ffff::9' })
    expect(await outcome(await same.begin())).toBe('429 rate_limited')
  })

  it('frees an upload in parts by aborting it', async () => {
    const box = await createBox({ maxFiles: 1 })
    const ann = await visit(box)
    const { key, uploadId } = await startInParts(ann, 'hello')
    const path = `/multipart/${encodeURIComponent(uploadId)}?key=${encodeURIComponent(key)}`
    expect((await ann.fetch(path, { method: 'DELETE' })).status).toBe(204)
    expect((await ann.begin()).status).toBe(200)
  })

  it('repeats the start of an upload without a second reservation', async () => {
    const box = await createBox({ maxFiles: 2, maxTotalBytes: 100, maxBytes: 200 })
    const ann = await visit(box)
    const startId = `${Date.now()}-${'a'.repeat(22)}`
    // Only one of them may be starting.
    const answers = await Promise.all(
      [1, 2, 3].map(async () => outcome(await ann.begin(5, { startId }))),
    )
    expect(tally(answers)).toEqual({ '200': 1, '429 rate_limited': 2 })
    expect(await outcome(await ann.begin(5, { startId }))).toBe('200')
    expect((await objectOf(box).read())?.left).toEqual({ files: 1, bytes: 95 })
  })

  it('is refused the start of a file that has arrived', async () => {
    const box = await createBox({ maxFiles: 2 })
    const ann = await visit(box)
    const startId = `${Date.now()}-${'b'.repeat(22)}`
    const started = await startInParts(ann, 'hello', { startId })
    expect((await completeParts(ann, started)).status).toBe(201)
    // A client that has lost the answer completes it again.
    expect((await completeParts(ann, started)).status).toBe(201)
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5, startId }
    expect(await outcome(await ann.post('/multipart', file))).toBe('409 object_exists')
    expect(await objectOf(box).read()).toMatchObject({
      received: { files: 1, bytes: 5 },
      left: { files: 1, bytes: 9995 },
    })
  })

  it('leaves no reservation for an upload that was not signed', async () => {
    const box = await createBox()
    const ann = await visit(box)
    const metadata = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`m${i}`, 'x'.repeat(100)]),
    )
    expect(await outcome(await ann.begin(5, { metadata }))).toBe('400 invalid_request')
    await passes(2 * MINUTE, box)
    expect((await objectOf(box).read())?.left.files).toBe(10)
  })

  // @threat box-filled-object box-blocked
  it('makes nobody wait by reservations that it never uses, and cannot fill the object with them', async () => {
    const box = await createBox({ maxFiles: 1000, maxTotalBytes: 1_000_000 })
    const ask = (i: number, network: string) =>
      objectOf(box).reserve(
        {
          ...{ key: `${network}/${i}`, size: 1, network, around: network },
          ...{ sender: null, country: null },
        },
        Date.now(),
      )
    const lose = async (i: number, network: string) => {
      expect(await ask(i, network)).toMatchObject({ ok: true })
      await objectOf(box).free(`${network}/${i}`, Date.now())
      await objectOf(box).freed(`${network}/${i}`, Date.now())
    }
    await inBox(box, (_, { sql }) => {
      sql.exec(
        "INSERT INTO uploads (key, size, state, ends, at, network, around, starting) VALUES ('long', 1, 'lost', ?, ?, 'one', 'one', 0)",
        ...[Date.now() + DAY - HOUR, Date.now() - 2 * HOUR],
      )
    })
    for (let i = 0; i < 110; i++) await lose(i, 'one')
    const count = (condition: string) =>
      inBox(box, (_, { sql }) =>
        sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM uploads ${condition}`).one(),
      )
    expect(await count("WHERE network = 'one'")).toEqual({ n: 100 })
    // Those that held room for the longest time are remembered.
    expect(await count("WHERE key = 'long'")).toEqual({ n: 1 })
    await inBox(box, (_, { sql }) => {
      sql.exec(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
          INSERT INTO uploads (key, size, state, ends, at, network, around, starting) SELECT 'of/' || i, 1000, 'lost', ?, 0, 'net' || i, 'net' || i, 0 FROM n`,
        Date.now() + DAY - MINUTE,
      )
    })
    await lose(0, 'three')
    expect(await count('')).toEqual({ n: 5000 })
    const ann = await visit(box, { ip: '203.0.113.1' })
    expect((await ann.send('x'.repeat(1000))).status).toBe(201)
  })
})

describe('a network that reserves again and again without a file', () => {
  /** Lets networks reserve all they can, whenever they can, and another one ask each minute. */
  async function siege(terms: object, ips: readonly string[], size: number) {
    const box = await createBox({ deadline: inFuture(5 * DAY), ...terms })
    const start = Date.now()
    for (let minute = 0; minute <= 60; minute++) {
      await passes(0, box)
      vi.useFakeTimers({ toFake: ['Date'], now: start + minute * MINUTE })
      for (const ip of ips) {
        const eve = await visit(box, { ip })
        for (let i = 0; i < 4; i++) await eve.begin(size)
      }
      const ann = await visit(box, { ip: '198.51.100.7' })
      if ((await ann.begin(5)).status === 200) return minute
    }
    return Infinity
  }

  // @threat box-blocked
  it('waits for one that has lost fewer: with room for one file', async () => {
    expect(await siege({ maxFiles: 1 }, ['203.0.113.1'], 5)).toBeLessThanOrEqual(7)
  })

  it('waits for one that has lost fewer: three in one larger network', async () => {
    const ips = [1, 2, 3].map((i) => `2001:db8:1:${i}::1`)
    expect(await siege({ maxFiles: 4 }, ips, 5)).toBeLessThanOrEqual(7)
  })

  it('waits for one that has lost fewer: with files as large as the box', async () => {
    const size = 20e6
    const terms = { maxBytes: size, maxTotalBytes: size }
    // Until the slowest sender would have sent it: 5 minutes, and 10 for 20 MB.
    expect(await siege(terms, ['203.0.113.1'], size)).toBeLessThanOrEqual(17)
  })

  it('waits behind all files of one that has waited', async () => {
    const MB = 1e6
    const terms = { maxFiles: 10, maxBytes: 20 * MB, maxTotalBytes: 100 * MB }
    const box = await createBox({ ...terms, deadline: inFuture(2 * DAY) })
    const start = Date.now()
    const minutes = await inBox(box, async (ledger) => {
      let made = 0
      const ask = (key: string, size: number, network: string, now: number) =>
        ledger.reserve({ key, size, network, around: network, sender: null, country: null }, now)
      const files = Array.from({ length: 10 }, (_, i) => ({ key: `h${i}`, next: 60, ends: 0 }))
      for (let second = 0; second < 3600; second++) {
        const now = start + second * 1000
        for (const due of ledger.due(100, now)) ledger.rechecked(due, now)
        // Three at once, and each is sent in 3 seconds.
        for (const file of files.slice(0, 3)) {
          if (second < file.next) continue
          if (file.ends > 0 && second >= file.ends) {
            const arrived = { size: 2 * MB, etag: 'e', name: 'a', mimetype: 'b', at: now }
            await ledger.settle({ key: file.key, ...arrived }, now)
            files.splice(files.indexOf(file), 1)
            for (const other of files) other.next = second
          } else if (file.ends === 0) {
            const asked = await ask(file.key, 2 * MB, 'ann', now)
            if (asked.ok) file.ends = second + 3
            else file.next = second + 70
          }
        }
        for (const eve of ['x', 'y', 'z'])
          for (const size of [20 * MB, 10 * MB, 2 * MB, 1]) {
            const key = `${eve}${made++}`
            if ((await ask(key, size, eve, now)).ok) ledger.began(key, 'id')
          }
        if (files.length === 0) return second / 60
      }
      return Infinity
    })
    // The first reservations of the three last 15 minutes, and none of them gets another one.
    expect(minutes).toBeLessThan(18)
  })

  it('makes nobody wait who has lost less than 5 minutes, such as by a cancel', async () => {
    const box = await createBox({ maxFiles: 100, maxBytes: 1000, maxTotalBytes: 1000 })
    const now = Date.now()
    const ask = (network: string, size: number, at: number) =>
      objectOf(box).reserve(
        {
          ...{ key: `${network}${at}`, size, network, around: network },
          ...{ sender: null, country: null },
        },
        at,
      )
    const lose = async (network: string, held: number) => {
      await ask(network, 5, now - held)
      await objectOf(box).free(`${network}${now - held}`, now)
      await objectOf(box).freed(`${network}${now - held}`, now)
    }
    await lose('ann', 4 * MINUTE)
    await lose('joe', 5 * MINUTE)
    await ask('bob', 5, now)
    expect(await ask('eve', 1000, now)).toMatchObject({ ok: false, why: 'waiting' })
    expect(await ask('ann', 5, now)).toMatchObject({ ok: true })
    expect(await ask('joe', 5, now)).toMatchObject({ ok: false, why: 'waiting' })
    const later = now + 3 * MINUTE
    expect(await ask('joe', 5, later)).toMatchObject({ ok: true })
  })

  it('waits, also if it sends a part each time, but completes nothing', async () => {
    const box = await createBox({ maxFiles: 1, deadline: inFuture(5 * DAY) })
    const start = Date.now()
    const at = async (minute: number, ip: string) => {
      await passes(0, box)
      vi.useFakeTimers({ toFake: ['Date'], now: start + minute * MINUTE })
      return visit(box, { ip })
    }
    expect((await (await at(0, '203.0.113.1')).begin()).status).toBe(200)
    expect(await outcome(await (await at(5, '198.51.100.7')).begin())).toBe('429 rate_limited')
    expect(await outcome(await (await at(6, '203.0.113.1')).begin())).toBe('429 rate_limited')
    expect((await (await at(6, '198.51.100.7')).begin()).status).toBe(200)
  })
})

it('tells the page what is left', async () => {
  const box = await createBox({ maxFiles: 3, maxTotalBytes: 100 })
  const ann = await visit(box)
  await ann.send()
  await ann.begin(10)
  const told = await (await askToken(box)).json<{ left: object }>()
  expect(told.left).toEqual({ files: 1, bytes: 85 })
})
