import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
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

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
})
afterEach(() => rm(folder, { recursive: true }))

const contentOf = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')

const COUNTS = {
  ...{ objects: 0, records: 0, unrecorded: 0, young: 0, unmanaged: 0, ownerless: 0, different: 0 },
  ...{ gone: 0, oldUploads: 0, unreadable: 0, foreign: 0, refused: 0, failed: 0, recorded: 0 },
  ...{ returned: 0, updated: 0, corrected: 0, dropped: 0, aborted: 0 },
}

const STARTED = '2026-11-28T12:00:00.000Z'

/** The status of a walk, which has ended unless `members` say otherwise. */
const status = (members: object = {}, counts: object = {}) => ({
  ...{ bucket: 'files', mode: 'record', phase: 'idle', startedAt: STARTED, nextAt: null },
  ...{ collected: 0, failing: 0, failures: 0, failure: null, stopped: null, last: null },
  ...{ counts: { ...COUNTS, ...counts }, buckets: ['files'], ...members },
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
  it('orders a pass, and shows how far it is until it has ended', async () => {
    await using worker = await scriptedWorker([
      status({ phase: 'objects' }),
      status({ phase: 'objects' }, { objects: 2 }),
      status({}, { objects: 3, records: 2, gone: 1, dropped: 1 }),
    ])
    const { code, output, errors } = await upkeep(worker.origin)
    expect([code, errors]).toEqual([0, ''])
    expect(output).toContain('1 record removed')
    const asked = worker.asked.map(({ method, path, body }) => [method, path, body])
    expect(asked).toEqual([
      ['POST', '/upkeep/walk', {}],
      ...[1, 2].map(() => ['POST', '/upkeep/walk', { bucket: 'files', pass: STARTED }]),
    ])
    expect(output).not.toContain('secret')
  })

  it('shows the end of its pass, also if the next one has begun', async () => {
    const last = { startedAt: STARTED, endedAt: STARTED, counts: { ...COUNTS, recorded: 7 } }
    await using worker = await scriptedWorker([
      status({ phase: 'objects' }),
      status({ phase: 'objects', startedAt: '2026-11-28T13:00:00.000Z', last }, { recorded: 1 }),
    ])
    expect((await upkeep(worker.origin)).output).toContain('7 records written')
  })

  it('keeps no file, and needs none after it was killed', async () => {
    await using held = await scriptedWorker([status({ phase: 'objects' }), undefined])
    const args = ['--url', held.origin]
    const child = startCommand({ program: 'upkeep-command.ts', args, folder, key: 'secret' })
    await expect.poll(() => held.asked.length).toBe(2)
    child.kill('SIGKILL')
    await once(child, 'close')
    expect(await readdir(folder)).toEqual([])
  })

  it('says why a walk has stopped, with code 2, and lets it go on only when told', async () => {
    const stopped = { reason: 'many records differ', at: STARTED }
    await using worker = await scriptedWorker([
      status({ phase: 'acting', stopped }),
      {},
      status({ phase: 'acting' }),
      status({}, { dropped: 4 }),
      status(),
    ])
    const { code, errors } = await upkeep(worker.origin)
    expect(code).toBe(2)
    expect(errors).toContain('Stopped: many records differ.')
    expect(errors).toContain('More than 1 %')
    expect(errors).toContain('upkeep go-on --bucket files')
    const next = await upkeep(worker.origin, 'go-on', '--bucket', 'files')
    expect([next.code, next.output]).toEqual([0, expect.stringContaining('4 records removed')])
    expect(worker.asked[1]).toMatchObject({ path: '/upkeep/go-on', body: { bucket: 'files' } })
    await upkeep(worker.origin, '--restart', '--bucket', 'files')
    expect(worker.asked[4]?.body).toEqual({ bucket: 'files', restart: true })
  })

  it('asks only for a report with --dry-run', async () => {
    await using worker = await scriptedWorker([status({ mode: 'report' }, { unrecorded: 2 })])
    const { output } = await upkeep(worker.origin, '--dry-run')
    expect(worker.asked[0]?.body).toEqual({ mode: 'report' })
    expect(output).toContain('2 objects without a record')
    expect(output).toContain('This was a report: nothing was changed.')
  })

  it('walks all buckets of the Worker, also if one has stopped', async () => {
    const stopped = { reason: 'empty list', at: STARTED }
    await using worker = await scriptedWorker([
      status({ buckets: ['files', 'archive'], phase: 'acting', stopped }),
      status({ bucket: 'archive', buckets: ['files', 'archive'] }),
    ])
    const { code, output } = await upkeep(worker.origin)
    expect(code).toBe(2)
    expect(output).toContain('archive has 0 objects')
    expect(worker.asked.map(({ body }) => body.bucket)).toEqual([undefined, 'archive'])
  })

  it('waits for second looks with --wait, and otherwise says until when they wait', async () => {
    const far = new Date(Date.now() + 600_000).toISOString()
    const acting = { phase: 'acting', collected: 2 }
    await using worker = await scriptedWorker([
      status({ ...acting, nextAt: far }),
      status({ ...acting, nextAt: new Date(Date.now() + 1000).toISOString() }),
      status({}, { dropped: 2 }),
    ])
    const { code, output } = await upkeep(worker.origin)
    expect(code).toBe(0)
    expect(output).toContain(`2 records wait for a second look until ${far}.`)
    expect((await upkeep(worker.origin, '--wait')).output).toContain('2 records removed')
  })

  it('repeats a request that may pass, but not one to a Worker with invalid settings', async () => {
    await using worker = await scriptedWorker([
      [503, { code: 'unavailable', reason: 'state', message: 'Later.' }],
      status(),
      [503, { code: 'misconfigured', message: 'No.' }],
    ])
    expect((await upkeep(worker.origin)).code).toBe(0)
    expect((await upkeep(worker.origin)).errors).toContain('misconfigured')
    expect(worker.asked).toHaveLength(3)
  })

  it('gives up after six failures in a row, while the Worker tries on', async () => {
    const failure = { code: 'storage_error', message: 'The bucket fails.', at: STARTED }
    await using worker = await scriptedWorker([
      status({ phase: 'objects', failures: 1, failure }),
      status({ phase: 'objects', failures: 6, failure }),
    ])
    const { code, errors } = await upkeep(worker.origin)
    expect([code, errors]).toEqual([1, 'files: storage_error. The bucket fails.\n'])
  })

  it('prints nothing that controls a terminal', async () => {
    const hostile = { ...record, key: 'a\u009b31m\u202e', keptAt: '', expiresAt: null }
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
      status({ bucket: '\u001b[2J' }),
    ])
    const { output } = await upkeep(worker.origin, 'kept', '--bucket', 'files')
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
    const kept = { ...record, name: 'x'.repeat(200_000), keptAt: '', expiresAt: null }
    await using worker = await scriptedWorker([
      { records: [kept], cursor: 'c' },
      { records: [kept, kept] },
    ])
    const args = ['upkeep', 'kept', '--bucket', 'files', '--url', worker.origin]
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

  it('ends with an error if keys have failed, which the Worker tries again', async () => {
    await using worker = await scriptedWorker([status({ failing: 1 }, { failed: 1 })])
    const { code, output } = await upkeep(worker.origin)
    expect([code, output]).toEqual([1, expect.stringContaining('1 key has failed, and is tried')])
  })

  it('lists what the index keeps, and restores it, also to changed objects', async () => {
    const kept = { ...record, keptAt: STARTED, expiresAt: null }
    const all = { mode: 'record', buckets: [status()] }
    const restored = { records: [{ key: record.key, outcome: 'restored' }] }
    await using worker = await scriptedWorker([
      all,
      { records: [kept], cursor: 'c' },
      { records: [] },
      ...[all, { records: [kept] }, restored],
      ...[all, { records: [kept] }, restored],
      ...[all, { records: [] }],
    ])
    expect(JSON.parse((await upkeep(worker.origin, 'kept')).output)).toEqual(kept)
    expect(worker.asked[2]?.path).toBe('/upkeep/kept?bucket=files&cursor=c')
    const { code, output } = await upkeep(worker.origin, 'restore', '--all')
    expect([code, output]).toEqual([0, '1 restored\n'])
    await upkeep(worker.origin, 'restore', '--all', '--changed')
    const body = { bucket: 'files', keys: [record.key] }
    expect([worker.asked[5]?.body, worker.asked[8]?.body]).toEqual([
      body,
      { ...body, changed: true },
    ])
    expect((await upkeep(worker.origin, 'restore', '--all')).output).toBe('No records are kept.\n')
  })

  it('shows how far the walks have come, and what has stopped', async () => {
    const stopped = { reason: 'another bucket', at: STARTED }
    const failure = { code: 'storage_error', message: 'It fails.', at: STARTED }
    const one = status({ phase: 'acting', collected: 3, failing: 1, failure, stopped })
    await using worker = await scriptedWorker([{ mode: 'record', buckets: [one] }])
    const { code, output, errors } = await upkeep(worker.origin, 'status')
    expect(code).toBe(2)
    expect(output).toContain('no pass has ended, 3 wait, 1 failed')
    expect(output).toContain('files: storage_error. It fails.')
    expect(errors).toContain('upkeep go-on --bucket files')
  })

  it.each<readonly [string, readonly string[], string]>([
    ['an unknown command', ['repair'], 'Unknown command "repair"'],
    ['an argument that it would ignore', ['kept', 'a'], 'Unexpected argument "a"'],
    ['restore without keys', ['restore'], 'needs keys, or --all'],
    ['restore of keys in any bucket', ['restore', 'a'], 'needs --bucket'],
    ['go-on for any bucket', ['go-on'], 'needs --bucket'],
    ['a restore that changes nothing', ['restore', '--all', '--dry-run'], 'no option --dry-run'],
    ['go-on that changes nothing', ['go-on', '--dry-run'], 'no option --dry-run'],
    ['a walk with the option of restore', ['--all'], 'no option --all'],
    ['a walk that would delete', ['--delete'], 'no option --delete'],
    ['a delete of all orphans', ['orphans', '--delete'], '--prefix'],
    ['an age that is no number of days', ['orphans', '--older-than', '30'], 'days, such as 30d'],
    ['no days', ['orphans', '--older-than', '0d'], 'days, such as 30d'],
  ])('refuses %s', async (_, args, message) => {
    await using worker = await scriptedWorker([])
    const { code, errors } = await upkeep(worker.origin, ...args)
    expect([code, worker.asked]).toEqual([1, []])
    expect(errors).toContain(message)
  })
})

describe('npx edge-presigner upkeep orphans', () => {
  const sample = { key: 'uploads/a', etag: '"e"', size: 5, since: STARTED }
  const found = (count: number, isMany = false) => ({
    ...{ bucket: 'files', prefix: 'uploads/', count, bytes: 5 * count, isMany, samples: [sample] },
  })
  const deleting = ['orphans', '--delete', '--prefix', 'uploads/']

  it('counts what has had no owner for so long below a prefix, with samples', async () => {
    await using worker = await scriptedWorker([found(12), found(0)])
    const args = ['orphans', '--older-than', '90d', '--prefix', 'uploads/', '--bucket', 'files']
    const { code, output } = await upkeep(worker.origin, ...args)
    expect(code).toBe(0)
    expect(output).toContain(
      'files: 12 objects have had no owner for 90 days below uploads/, 60 bytes.',
    )
    expect(output).toContain(`"uploads/a", 5 bytes, since ${STARTED}`)
    expect(worker.asked[0]?.path).toBe(
      '/upkeep/orphans?olderThanDays=90&prefix=uploads%2F&bucket=files',
    )
    // Nothing is there to delete, so nothing is asked.
    expect((await upkeep(worker.origin, ...deleting)).code).toBe(0)
  })

  it('deletes them, page by page, and says what is left', async () => {
    await using worker = await scriptedWorker([
      found(3),
      { files: [{ key: 'uploads/a', outcome: 'deleted' }], after: 'uploads/a' },
      {
        files: [
          { key: 'uploads/b', outcome: 'owned' },
          { key: 'uploads/c', error: { code: 'precondition_failed', message: 'Another.' } },
        ],
      },
    ])
    const { code, output, errors } = await upkeep(worker.origin, ...deleting, '--count', '3')
    expect([code, errors]).toEqual([1, '"uploads/c" is left: Another.\n'])
    expect(output).toContain('1 deleted, 1 have an owner by now, 1 left.')
    const body = { bucket: 'files', prefix: 'uploads/', olderThanDays: 30, count: 3 }
    expect(worker.asked.slice(1).map((asked) => asked.body)).toEqual([
      body,
      { ...body, count: 2, after: 'uploads/a' },
    ])
  })

  // @threat orphans-many
  it('deletes nothing without an answer, or if the number is another one', async () => {
    await using worker = await scriptedWorker([found(3), found(3, true)])
    const { code, errors } = await upkeep(worker.origin, ...deleting)
    expect([code, errors]).toEqual([1, expect.stringContaining('add --count 3')])
    const other = await upkeep(worker.origin, ...deleting, '--count', '2')
    expect([other.code, other.errors]).toEqual([1, 'Nothing was deleted.\n'])
    expect(worker.asked).toHaveLength(2)
  })
})

describe('npx edge-presigner index import', () => {
  it('orders an import, and shows how far it is', async () => {
    await using worker = await scriptedWorker([
      status({ phase: 'objects' }),
      status({}, { recorded: 7 }),
    ])
    const owner = ['--owner', 'photos/{owner}/', '--owner-as', 'key:app/{owner}']
    const { code, output } = await importing(worker.origin, ...owner)
    expect(code).toBe(0)
    expect(output).toContain('7 files were added to the index')
    const order = { prefix: 'photos/', owner: 'photos/{owner}/', ownerAs: 'key:app/{owner}' }
    expect(worker.asked.map(({ body }) => body)).toEqual([
      { import: order },
      { bucket: 'files', import: order, pass: STARTED },
    ])
  })

  it('begins anew with --restart', async () => {
    await using worker = await scriptedWorker([status()])
    await importing(worker.origin, '--restart')
    expect(worker.asked[0]?.body).toEqual({ import: { prefix: 'photos/' }, restart: true })
  })

  it('says which buckets it leaves out, and sends an empty owner for the Worker to refuse', async () => {
    await using worker = await scriptedWorker([status({ buckets: ['files', 'archive'] })])
    const { output } = await importing(worker.origin, '--owner', '')
    expect(output).toContain('Import them with --bucket: archive.')
    expect(worker.asked[0]?.body.import).toEqual({ prefix: 'photos/', owner: '' })
  })

  it('needs a prefix, and tells which keys the index refuses', async () => {
    await using worker = await scriptedWorker([status({}, { refused: 2 })])
    const args = ['import', '--url', worker.origin]
    const none = await runCommand({ program: 'index-command.ts', args, folder, key: 'secret' })
    expect([none.code, worker.asked]).toEqual([1, []])
    expect(none.errors).toContain('import needs --prefix')
    const { code, errors } = await importing(worker.origin)
    expect(code).toBe(1)
    expect(errors).toContain('2 keys')
  })
})
