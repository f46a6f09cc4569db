import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createPresigner, defineSettings } from '../../src/index.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { files } from '../../src/plugins/files/index.ts'
import { upkeep } from '../../src/plugins/upkeep/index.ts'
import { sqliteFileIndex } from '../../src/sqlite.ts'
import { declareFileIndexContract } from '../../src/testing/file-index-contract.ts'
import { testRecord } from '../../src/testing/test-record.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN, settingsInput } from '../support/app.ts'
import { bucketFetch } from '../support/bucket.ts'

const run = promisify(execFile)
const WRITER = [
  '--disable-warning=ExperimentalWarning',
  join(import.meta.dirname, 'sqlite-writer.ts'),
]

const folder = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
let paths = 0
const newPath = () => join(folder, 'data', `${paths++}`, 'files.db')
const open = () => sqliteFileIndex(newPath())

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('the file index in SQLite, on Node', () =>
  declareFileIndexContract({ beforeEach, expect, it }, open))

describe('an index in a file', () => {
  it('searches, sorts, counts and shows folders', async () => {
    const index = open()
    for (const [i, name] of ['Crème brûlée.jpg', 'Plan "B"; DROP TABLE.pdf', '发票.pdf'].entries())
      await index.put(testRecord(`team/${i}/${i}`, { name, size: i }))
    const find = async (query: object) => {
      const found = await index.answers?.find({ bucket: 'files', prefix: '', limit: 9, ...query })
      return found?.records.map(({ size }) => size)
    }
    expect(await find({ q: 'creme' })).toEqual([0])
    expect(await find({ q: 'drop table' })).toEqual([1])
    expect(await find({ sort: '-size' })).toEqual([2, 1, 0])
  })

  it('keeps control characters of a name, which Node 22 would cut off', async () => {
    const index = open()
    for (const name of ['a\u0000b', '\u001a', '\u001a0\u001a1\u0000\u001a10', '\u0000\u0000']) {
      const record = testRecord('a', { name })
      await index.put(record)
      expect(await index.get('files', record.key)).toEqual(record)
      expect(await index.put(record, { over: record })).toEqual(record)
      const stored = await index.sql?.([
        { text: 'SELECT hex(name) h FROM presigner_files', values: [] },
      ])
      expect(JSON.stringify(stored)).not.toMatch(/"(?:..)*00/)
    }
  })

  it('is the same in a module that is loaded again', async () => {
    const path = newPath()
    const index = sqliteFileIndex(path)
    await index.put(testRecord('a'))
    vi.resetModules()
    const again = await import('../../src/sqlite.ts')
    expect(again.sqliteFileIndex).not.toBe(sqliteFileIndex)
    const [database] = [...Reflect.get(globalThis, 'edgePresignerDatabases').values()].slice(-1)
    expect(await again.sqliteFileIndex(path).get('files', testRecord('a').key)).toEqual(
      testRecord('a'),
    )
    expect([...Reflect.get(globalThis, 'edgePresignerDatabases').values()].at(-1)).toBe(database)
  })

  it('is shared by processes, of which each waits for the other', async () => {
    const path = newPath()
    await Promise.all(
      ['a', 'b'].map((name) => run(process.execPath, [...WRITER, path, name, '200'])),
    )
    const { records } = await sqliteFileIndex(path).list({
      bucket: 'files',
      prefix: '',
      limit: 1000,
    })
    expect(records).toHaveLength(400)
  })

  it('undoes a batch of which a statement fails', async () => {
    const { sql } = open()
    if (sql === undefined) throw new Error('An index in SQL shows it.')
    const text = (statement: string) => ({ text: statement, values: [] })
    await sql([text('CREATE TABLE t (a UNIQUE)')])
    await expect(
      sql([text('INSERT INTO t VALUES (1)'), text('INSERT INTO t VALUES (1)')]),
    ).rejects.toMatchObject({ code: 'unavailable' })
    expect(await sql([text('SELECT a FROM t')])).toEqual([[]])
    await sql([text('INSERT INTO t VALUES (1)')])
  })
})

describe('what an index in a file needs', () => {
  const refusal = (path: unknown) => {
    try {
      sqliteFileIndex(path as string)
    } catch (error) {
      return `${error}`
    }
    return null
  }

  it.each(['VERCEL', 'NETLIFY', 'AWS_LAMBDA_FUNCTION_NAME', 'FUNCTIONS_WORKER_RUNTIME'])(
    'is a disk that stays: not with %s',
    (variable) => {
      vi.stubEnv(variable, '1')
      expect(refusal(newPath())).toMatch(/on [\w ]+, whose disk is temporary/)
    },
  )

  it('is named to everybody, but not the path', async () => {
    const { fetch } = createPresigner(
      defineSettings(() => settingsInput()),
      {
        plugins: [files({ index: () => sqliteFileIndex(join(folder, 'text.txt', 'files.db')) })],
        authenticate: () => ANN,
        log: () => undefined,
      },
    )
    writeFileSync(join(folder, 'text.txt'), 'no folder')
    for (const path of ['/files', '/healthz']) {
      const response = await fetch(new Request(ORIGIN + path), {})
      expect(response.status).toBe(503)
      expect(await response.text()).not.toContain(folder)
    }
  })

  it('is a path', () => {
    for (const path of ['', undefined, 7]) expect(refusal(path)).toMatch(/needs the path/)
  })

  it('is a runtime that has SQLite', () => {
    vi.stubGlobal('process', { env: {} })
    expect(refusal(newPath())).toMatch(/needs Node 22\.16/)
  })

  it('is a file of SQLite in a folder that can be written', () => {
    const path = join(folder, 'text.txt')
    writeFileSync(path, 'This is no database, but more than a hundred bytes. '.repeat(9))
    expect(refusal(path)).toMatch(/can't open or write its file: file is not a database/)
    expect(refusal(join(path, 'files.db'))).toMatch(/can't open or write its file: E[A-Z]+\./)
    expect(refusal('/proc/files.db')).toMatch(/its file: unable to open database file\./)
  })
})

describe('upkeep with an index in a file', () => {
  const MINUTE = 60_000
  const HOUR = 60 * MINUTE

  /** Starts a presigner at a time, runs its schedule once, and returns its index and what it knows of its walk. */
  async function started(path: string, milliseconds: number) {
    const index = sqliteFileIndex(path)
    vi.useFakeTimers({ now: milliseconds, toFake: ['Date'] })
    const [bucket] = Object.values(settingsInput().buckets)
    if (bucket === undefined) throw new Error('There is no bucket.')
    const presigner = createPresigner(
      defineSettings(() => settingsInput({ buckets: { files: { ...bucket, bucket: 'walked' } } })),
      {
        plugins: [files({ index: () => index }), upkeep({ settings: { mode: 'record' } })],
        authenticate: () => ({ ...ANN, scopes: ['upkeep:read'], prefix: '' }),
        log: () => undefined,
      },
    )
    await presigner.scheduled({ scheduledTime: milliseconds, cron: '7 * * * *' }, {})
    const response = await presigner.fetch(new Request(`${ORIGIN}/upkeep`), {})
    const { buckets } = await jsonOf<{ buckets: readonly object[] }>(response)
    return { index, walk: buckets[0] }
  }

  it('keeps the state of a walk there, and goes on after a restart', async () => {
    const path = newPath()
    const keys = ['a', 'b', 'c'].map((name, i) =>
      parseObjectKey(`uploads/0123456789abcdefghj${i}-${name}.txt`),
    )
    for (const key of keys) await bucketFetch(key, { method: 'PUT', body: 'hello' }, 'walked')
    const now = Date.now() + 2 * HOUR
    expect((await started(path, now)).walk).toMatchObject({
      ...{ phase: 'idle', last: { counts: { recorded: 3 } } },
    })
    await bucketFetch(keys[0] ?? '', { method: 'DELETE' }, 'walked')
    const { walk: collecting } = await started(path, now + HOUR)
    expect(collecting).toMatchObject({ phase: 'acting', collected: 1 })
    const { walk, index } = await started(path, now + HOUR + 10 * MINUTE)
    expect(walk).toMatchObject({ phase: 'idle', collected: 0, last: { counts: { dropped: 1 } } })
    expect(await index.getMany?.('files', keys)).toHaveLength(2)
  })
})
