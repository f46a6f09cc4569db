import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCommand, startCommand } from './command-process.ts'
import { type ScriptedWorker, scriptedWorker as startScripted } from './scripted-worker.ts'

const STATE = '.edge-presigner-upkeep.json'
const DROPPED = 'edge-presigner-dropped.ndjson'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
})
afterEach(() => rm(folder, { recursive: true }))

const contentOf = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')

const COUNTS = {
  ...{ objects: 0, records: 0, unrecorded: 0, young: 0, unmanaged: 0, different: 0, gone: 0 },
  ...{ oldUploads: 0, unreadable: 0, foreign: 0, refused: 0 },
  ...{ failed: 0, recorded: 0, corrected: 0, dropped: 0, aborted: 0 },
}

const step = (members: object = {}, counts: object = {}) => ({
  ...{ bucket: 'files', cursor: 'next', isDone: true, phase: 'objects', stopped: null, last: null },
  ...{ counts: { ...COUNTS, ...counts }, toDrop: [], suspects: 0, buckets: ['files'], ...members },
})

const record = {
  ...{ key: 'users/1/a.jpg', bucket: 'files', name: 'a.jpg', size: 1, mimetype: 'image/jpeg' },
  ...{ etag: '"e"', owner: 'key:app', createdAt: '2026-11-24T12:00:00.000Z' },
}

type Answer = object | readonly [status: number, body: object]

/** Starts a Worker that answers as a script says. Undefined never answers. */
const scriptedWorker = (
  answers: readonly (Answer | undefined | (() => Promise<Answer>))[],
): Promise<ScriptedWorker> =>
  startScripted(
    answers.map((next) =>
      next === undefined
        ? undefined
        : async (response) => {
            const answer = typeof next === 'function' ? await next() : next
            const [status, sent] = Array.isArray(answer) ? answer : [200, answer]
            response.writeHead(status).end(JSON.stringify(sent))
          },
    ),
  )

const upkeep = (origin: string, ...args: readonly string[]) =>
  runCommand({
    ...{ program: 'upkeep-command.ts', args: [...args, '--url', origin], folder, key: 'secret' },
  })

const importing = (origin: string, ...args: readonly string[]) => {
  const all = ['import', '--prefix', 'photos/', ...args, '--url', origin]
  return runCommand({ program: 'index-command.ts', args: all, folder, key: 'secret' })
}

describe('npx edge-presigner upkeep', () => {
  it('keeps a record on the disk before the next step drops it', async () => {
    await using worker = await scriptedWorker([
      step({ isDone: false, toDrop: [record], cursor: 'one' }),
      async () => {
        expect(await contentOf(DROPPED)).toContain(JSON.stringify(record))
        expect((await stat(join(folder, DROPPED))).mode & 0o777).toBe(0o600)
        expect(await contentOf(STATE)).toContain('"one"')
        return step({}, { records: 1, gone: 1, dropped: 1 })
      },
    ])
    const { code, output, errors } = await upkeep(worker.origin)
    expect([code, errors]).toEqual([0, ''])
    expect(output).toContain('1 record dropped')
    expect(worker.asked.map(({ body }) => body)).toEqual([{}, { bucket: 'files', cursor: 'one' }])
    expect(output).not.toContain('secret')
  })

  it('goes on after the last step that it has saved when it was killed', async () => {
    await using held = await scriptedWorker([step({ isDone: false, cursor: 'one' }), undefined])
    const { origin } = held
    const args = ['--url', origin]
    const child = startCommand({ program: 'upkeep-command.ts', args, folder, key: 'secret' })
    await expect.poll(() => held.asked.length).toBe(2)
    child.kill('SIGKILL')
    await once(child, 'close')
    expect(JSON.parse(await contentOf(STATE)).walks).not.toEqual({})

    await using worker = await scriptedWorker([step({ cursor: 'two' }), step()])
    const state = (await contentOf(STATE)).replaceAll(origin, worker.origin)
    await writeFile(join(folder, STATE), state)
    const { output } = await upkeep(worker.origin)
    expect(output).toContain('Continues the pass of ')
    // The end of a pass is where the next one starts: second looks wait there.
    await upkeep(worker.origin)
    expect(worker.asked.map(({ body }) => body.cursor)).toEqual(['one', 'two'])
  })

  it('stops at the brake with code 2 and says what to check, and goes on only when told', async () => {
    const stopped = { reason: 'shorter list', at: '2026-11-28T12:00:00.000Z' }
    await using worker = await scriptedWorker([
      step({ isDone: false, stopped, cursor: 'held' }),
      step({ isDone: false, stopped, cursor: 'held' }),
      step({ isDone: false, cursor: 'on' }),
      step(),
      step(),
    ])
    for (let i = 0; i < 2; i += 1) {
      const { code, errors } = await upkeep(worker.origin)
      expect(code).toBe(2)
      expect(errors).toContain('Stopped: shorter list.')
      expect(errors).toContain('less than half of the objects')
      expect(errors).toContain('--go-on --bucket files')
    }
    expect((await upkeep(worker.origin, '--go-on')).code).toBe(0)
    // Nothing is stopped any more, so nothing is accepted in advance.
    expect((await upkeep(worker.origin, '--go-on')).code).toBe(0)
    expect(worker.asked.map(({ body }) => [body.cursor, body.goOn])).toEqual([
      [undefined, undefined],
      ['held', undefined],
      ['held', true],
      ['on', undefined],
      ['next', undefined],
    ])
  })

  it('asks only for a report with --dry-run, and shares no cursor with the other mode', async () => {
    await using worker = await scriptedWorker([
      step({ cursor: 'report' }, { objects: 3, unrecorded: 2, oldUploads: null }),
      step(),
      step(),
    ])
    const { output } = await upkeep(worker.origin, '--dry-run')
    expect(output).toContain('2 objects without a record')
    expect(output).toContain('nothing was changed')
    expect(output).toContain('lists no unfinished uploads')
    await upkeep(worker.origin)
    await upkeep(worker.origin, '--dry-run')
    expect(worker.asked.map(({ body }) => [body.mode, body.cursor])).toEqual([
      ['report', undefined],
      [undefined, undefined],
      ['report', 'report'],
    ])
  })

  it('walks all buckets of the Worker, and the next time each from its own cursor', async () => {
    const buckets = ['files', 'archive']
    const rounds = [1, 2].flatMap((i) =>
      buckets.map((bucket) => step({ bucket, buckets, cursor: `${bucket} ${i}` })),
    )
    await using worker = await scriptedWorker(rounds)
    await upkeep(worker.origin)
    await upkeep(worker.origin)
    expect(worker.asked.map(({ body }) => [body.bucket, body.cursor])).toEqual([
      [undefined, undefined],
      ['archive', undefined],
      ['files', 'files 1'],
      ['archive', 'archive 1'],
    ])
  })

  it('walks the other buckets also if the brake stops one', async () => {
    const buckets = ['files', 'archive']
    const stopped = { reason: 'empty list', at: '2026-11-28T12:00:00.000Z' }
    await using worker = await scriptedWorker([
      step({ buckets, stopped, isDone: false }),
      step({ bucket: 'archive', buckets }),
    ])
    const { code, output } = await upkeep(worker.origin)
    expect(code).toBe(2)
    expect(output).toContain('archive has 0 objects')
  })

  it('repeats a request that may pass, but not one to a Worker with invalid settings', async () => {
    await using worker = await scriptedWorker([
      [503, { code: 'storage_busy', message: 'Later.' }],
      [503, { code: 'misconfigured', message: 'The settings are not valid.' }],
    ])
    const { code, errors } = await upkeep(worker.origin)
    expect([code, worker.asked.length]).toEqual([1, 2])
    expect(errors).toContain('misconfigured')
  })

  it('repeats a step that failed from the cursor of its answer', async () => {
    const failure = { code: 'storage_error', message: 'The bucket failed.' }
    await using worker = await scriptedWorker([
      step({ isDone: false, failure, cursor: 'after failure' }),
      step(),
    ])
    expect((await upkeep(worker.origin)).code).toBe(0)
    expect(worker.asked[1]?.body.cursor).toBe('after failure')
  })

  it('waits for second looks with --wait, and otherwise says when to run again', async () => {
    const later = new Date(Date.now() + 3_600_000).toISOString()
    const soon = () => new Date(Date.now() + 100).toISOString()
    await using worker = await scriptedWorker([
      step({ suspects: 2, waitUntil: later }),
      async () => step({ suspects: 2, waitUntil: soon() }),
      step({ suspects: 1, waitUntil: '2026-11-28T12:00:00.000Z' }),
      step(),
    ])
    const first = await upkeep(worker.origin)
    expect([first.code, worker.asked.length]).toEqual([0, 1])
    expect(first.output).toContain(`Run this again after ${later}`)
    const second = await upkeep(worker.origin, '--wait')
    expect([second.code, worker.asked.length]).toEqual([0, 4])
  })

  it('ends if passes bring the second looks no further', async () => {
    const due = step({ suspects: 2, waitUntil: '2026-11-28T12:00:00.000Z' })
    await using worker = await scriptedWorker([due, due, due])
    const { output } = await upkeep(worker.origin, '--wait')
    expect(worker.asked.length).toBe(2)
    expect(output).toContain('2 records without an object wait')
  })

  it('says what to do if the saved cursor is refused, and --restart forgets it', async () => {
    await using worker = await scriptedWorker([
      step({ isDone: true, cursor: 'old' }),
      [400, { code: 'invalid_cursor', message: 'This cursor has expired.' }],
      step(),
    ])
    await upkeep(worker.origin)
    const { code, errors } = await upkeep(worker.origin)
    expect(code).toBe(1)
    expect(errors).toContain('--restart')
    expect((await upkeep(worker.origin, '--restart')).code).toBe(0)
    expect(worker.asked.map(({ body }) => body.cursor)).toEqual([undefined, 'old', undefined])
  })

  it('walks the other buckets if the Worker no longer has the first one', async () => {
    const buckets = ['files', 'archive']
    const unknown = { code: 'unknown_bucket', message: 'No bucket has the alias "files".' }
    await using worker = await scriptedWorker([
      step({ buckets }),
      step({ bucket: 'archive', buckets }),
      [404, unknown],
      step({ bucket: 'archive', buckets: ['archive'] }),
    ])
    await upkeep(worker.origin)
    const { code, errors } = await upkeep(worker.origin)
    expect([code, errors]).toEqual([0, ''])
    expect(worker.asked.map(({ body }) => body.bucket)).toEqual([
      ...[undefined, 'archive', 'files', 'archive'],
    ])
  })

  it('forgets nothing of the real walk in a dry run', async () => {
    await using worker = await scriptedWorker([
      step({ isDone: false, stopped: { reason: 'another bucket', at: '' }, cursor: 'held' }),
      step(),
      step(),
    ])
    await upkeep(worker.origin)
    await upkeep(worker.origin, '--dry-run', '--restart')
    await upkeep(worker.origin, '--go-on')
    expect(worker.asked[2]?.body).toEqual({ bucket: 'files', cursor: 'held', goOn: true })
  })

  it('prints nothing that controls a terminal', async () => {
    const hostile = { ...record, key: 'a\u009b31m\u202e', droppedAt: '' }
    await using worker = await scriptedWorker([
      { records: [hostile] },
      [
        400,
        {
          ...{ code: 'invalid_key', message: '\u001b]0;title\u0007' },
          issues: [
            { path: 'owner', message: 'must have {owner}' },
            { path: '', message: 'has unknown members: "a"' },
          ],
        },
      ],
      step({ bucket: '\u001b[2J' }),
    ])
    const { output } = await upkeep(worker.origin, 'dropped', '--bucket', 'files')
    expect(output).toContain('a\\u009b31m\\u202e')
    expect(JSON.parse(output)).toEqual(hostile)
    expect((await upkeep(worker.origin)).errors).toBe(
      'The Worker answered 400: invalid_key. \\u001b]0;title\\u0007 owner must have {owner}. has unknown members: "a".\n',
    )
    expect((await upkeep(worker.origin)).errors).toContain('not of a Worker of this version')
  })

  it('says why there is no answer, and repeats no request to an invalid certificate', async () => {
    const files = ['-keyout', 'key.pem', '-out', 'certificate.pem', '-subj', '/CN=localhost']
    const request = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
    ]
    await promisify(execFile)('openssl', [...request, ...files], { cwd: folder })
    const identity = { key: await contentOf('key.pem'), cert: await contentOf('certificate.pem') }
    const server = createTlsServer(identity).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { code, errors } = await upkeep(`https://127.0.0.1:${port}`)
    server.close()
    expect([code, errors]).toEqual([
      1,
      'The Worker did not respond: DEPTH_ZERO_SELF_SIGNED_CERT.\n',
    ])
  })

  it('refuses a key that was cut off, without a request', async () => {
    await using worker = await scriptedWorker([])
    const args = ['status', '--url', worker.origin]
    const call = { program: 'upkeep-command.ts', args, folder, key: 'ep_upkeep_…' }
    const { code, errors } = await runCommand(call)
    expect([code, errors]).toEqual([
      1,
      expect.stringContaining('EDGE_PRESIGNER_KEY has a character'),
    ])
  })

  it('ends without a stack if its reader ends', async () => {
    const dropped = { ...record, name: 'x'.repeat(200_000), droppedAt: '' }
    await using worker = await scriptedWorker([
      { records: [dropped], cursor: 'c' },
      { records: [dropped, dropped] },
    ])
    const args = ['upkeep', 'dropped', '--bucket', 'files', '--url', worker.origin]
    const child = startCommand({ program: 'main.ts', args, folder, key: 'secret' })
    child.stdout?.once('data', () => child.stdout?.destroy())
    const [errors, [code]] = await Promise.all([
      text(child.stderr as Readable),
      once(child, 'close'),
    ])
    expect([code, errors]).toEqual([1, ''])
  })

  it('fails if it could not restore a key that it was told', async () => {
    const records = [
      { key: 'a', outcome: 'restored' },
      { key: 'b', outcome: 'unknown' },
    ]
    await using worker = await scriptedWorker([{ records }])
    const { code, output } = await upkeep(worker.origin, 'restore', 'a', 'b', '--bucket', 'files')
    expect([code, output]).toEqual([1, '1 restored, 1 unknown\n'])
  })

  it('ends with an error if keys failed again and again', async () => {
    await using worker = await scriptedWorker([step({}, { failed: 1 })])
    expect((await upkeep(worker.origin)).code).toBe(1)
  })

  it('lists and restores what the Worker has dropped', async () => {
    const dropped = { ...record, droppedAt: '2026-11-28T12:00:00.000Z' }
    const bucket = { bucket: 'files', phase: null, startedAt: null, suspects: 0, stopped: null }
    const status = { mode: 'record', buckets: [{ ...bucket, last: null, dropped: 22 }] }
    const many = Array.from({ length: 22 }, (_, i) => ({ ...dropped, key: `k${i}` }))
    const outcomes = (count: number, outcome: string) => ({
      records: Array.from({ length: count }, (_, i) => ({ key: `k${i}`, outcome })),
    })
    await using worker = await scriptedWorker([
      ...[status, { records: [dropped], cursor: 'c' }, { records: [dropped] }],
      ...[status, { records: many }, outcomes(20, 'restored'), outcomes(2, 'gone')],
      outcomes(1, 'restored'),
    ])
    const { output } = await upkeep(worker.origin, 'dropped')
    expect(output.trimEnd().split('\n')).toEqual(
      [dropped, dropped].map((one) => JSON.stringify(one)),
    )
    expect(worker.asked[2]?.path).toBe('/upkeep/dropped?bucket=files&cursor=c')
    expect((await upkeep(worker.origin, 'restore', '--all')).output).toBe('20 restored, 2 gone\n')
    await upkeep(worker.origin, 'restore', record.key, '--bucket', 'files')
    const sent = worker.asked.flatMap(({ method, body }) => (method === 'POST' ? [body.keys] : []))
    expect(sent).toEqual([
      many.slice(0, 20).map(({ key }) => key),
      many.slice(20).map(({ key }) => key),
      [record.key],
    ])
  })

  it('names the file with dropped records if the presigner keeps none', async () => {
    await using worker = await scriptedWorker([
      [501, { code: 'not_supported', message: 'No Durable Objects.' }],
    ])
    const { code, errors } = await upkeep(worker.origin, 'dropped')
    expect(code).toBe(1)
    expect(errors).toContain(`index restore ${DROPPED}`)
  })

  it('shows what the brake of the schedule has stopped, and clears it', async () => {
    const stopped = { reason: 'another bucket', at: '2026-11-28T12:00:00.000Z' }
    const bucket = { bucket: 'files', phase: 'objects', startedAt: stopped.at, suspects: 1 }
    await using worker = await scriptedWorker([
      { mode: 'record', buckets: [{ ...bucket, stopped, last: null, dropped: 0 }] },
      {},
    ])
    const { code, errors } = await upkeep(worker.origin, 'status')
    expect(code).toBe(2)
    expect(errors).toContain('upkeep go-on --bucket files')
    expect((await upkeep(worker.origin, 'go-on', '--bucket', 'files')).code).toBe(0)
    expect(worker.asked[1]).toMatchObject({ path: '/upkeep/go-on', body: { bucket: 'files' } })
  })

  it.each<readonly [string, readonly string[], string]>([
    ['an unknown command', ['repair'], 'Unknown command "repair"'],
    ['an argument that it would ignore', ['dropped', 'a'], 'Unexpected argument "a"'],
    ['restore without keys', ['restore'], 'needs keys, or --all'],
    ['restore of keys in any bucket', ['restore', 'a'], 'needs --bucket'],
    ['go-on for any bucket', ['go-on'], 'needs --bucket'],
    ['a restore that changes nothing', ['restore', '--all', '--dry-run'], 'no option --dry-run'],
    ['go-on that changes nothing', ['go-on', '--dry-run'], 'no option --dry-run'],
    ['a walk with the option of restore', ['--all'], 'no option --all'],
  ])('refuses %s', async (_, args, message) => {
    await using worker = await scriptedWorker([])
    const { code, errors } = await upkeep(worker.origin, ...args)
    expect([code, worker.asked]).toEqual([1, []])
    expect(errors).toContain(message)
  })
})

describe('npx edge-presigner index import', () => {
  it('sends what to import with each step, and forgets it when it is done', async () => {
    await using worker = await scriptedWorker([
      step({ isDone: false, cursor: 'one' }),
      step({}, { recorded: 7 }),
      step(),
    ])
    const owner = ['--owner', 'photos/{owner}/', '--owner-as', 'key:app/{owner}']
    const { code, output } = await importing(worker.origin, ...owner)
    expect(code).toBe(0)
    expect(output).toContain('7 files are in the index now')
    await importing(worker.origin, ...owner)
    const order = { prefix: 'photos/', owner: 'photos/{owner}/', ownerAs: 'key:app/{owner}' }
    expect(worker.asked.map(({ body }) => body)).toEqual([
      { import: order },
      { bucket: 'files', import: order, cursor: 'one' },
      { import: order },
    ])
  })

  it('starts again with --restart, after its cursor has expired', async () => {
    await using worker = await scriptedWorker([
      step({ isDone: false, cursor: 'one' }),
      [400, { code: 'invalid_cursor', message: 'This cursor has expired.' }],
      step(),
    ])
    const { errors } = await importing(worker.origin)
    expect(errors).toContain('--restart')
    await importing(worker.origin, '--restart')
    expect(worker.asked.map(({ body }) => body.cursor)).toEqual([undefined, 'one', undefined])
  })

  it('says which buckets it leaves out, and sends an empty owner for the Worker to refuse', async () => {
    await using worker = await scriptedWorker([step({ buckets: ['files', 'archive'] })])
    const { output } = await importing(worker.origin, '--owner', '')
    expect(output).toContain('Import them with --bucket: archive.')
    expect(worker.asked[0]?.body.import).toEqual({ prefix: 'photos/', owner: '' })
  })

  it('needs a prefix, and tells which keys the index refuses', async () => {
    await using worker = await scriptedWorker([step({}, { refused: 2 })])
    const args = ['import', '--url', worker.origin]
    const none = await runCommand({ program: 'index-command.ts', args, folder, key: 'secret' })
    expect([none.code, worker.asked]).toEqual([1, []])
    expect(none.errors).toContain('import needs --prefix')
    const { code, errors } = await importing(worker.origin)
    expect(code).toBe(1)
    expect(errors).toContain('2 keys')
  })
})

describe('npx edge-presigner index restore', () => {
  it('sends of each key the last record of a log, once', async () => {
    const lines = [{ name: 'old.jpg' }, { name: 'new.jpg' }, { key: 'users/1/b.jpg' }].map((one) =>
      JSON.stringify({ ...record, ...one }),
    )
    const first = '{"format":"edge-presigner index","version":1,"isLog":true}'
    await writeFile(join(folder, DROPPED), [first, ...lines, lines[1], ''].join('\n'))
    await using worker = await scriptedWorker([{ records: [] }])
    const args = ['restore', DROPPED, '--to', 'memory', '--url', worker.origin]
    const call = { program: 'index-command.ts', args, folder, key: 'secret' }
    expect((await runCommand(call)).code).toBe(0)
    const sent = ((worker.asked[0]?.body.records ?? []) as (typeof record)[]).map(
      ({ key, name }) => [key, name],
    )
    expect(sent).toEqual([
      ['users/1/b.jpg', 'a.jpg'],
      ['users/1/a.jpg', 'new.jpg'],
    ])
  })
})
