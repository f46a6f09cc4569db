import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import { waitUntil } from '../../cli/wait-until.ts'
import type { FileIndex } from '../../src/records/file-index.ts'
import { declareFileIndexContract } from '../../src/testing/file-index-contract.ts'
import { shared } from '../e2e/shared.ts'
import { describeWith, POSTGRES, POSTGRES_BIN } from '../e2e/system-package.ts'
import { ROOT, readPage } from './support/markdown.ts'
import { writeSnippets } from './support/snippets.ts'

const run = promisify(execFile)
const PACKAGES = join(import.meta.dirname, 'recipes')
const EXAMPLE = 'examples/postgres-index'

it('the index for Postgres and its test compile', async () => {
  const packages = await shared('ownPackages', PACKAGES)
  const written = writeSnippets(
    { 'file-index.ts': readPage(`${EXAMPLE}/file-index.ts`) },
    { packages, compilerOptions: { types: ['node'] } },
  )
  const errors = (await written.typeErrors()).split('\n').filter((line) => /^\w/.test(line))
  written.remove()
  expect(errors).toEqual([])
})

/** Postgres refuses to run as root. */
const NOBODY = 65_534
const isRoot = process.getuid?.() === 0
const asUser = isRoot ? { uid: NOBODY, gid: NOBODY } : {}

/** What the index needs of the package `pg`, which only the recipes have. */
interface Pool {
  query(text: string): Promise<{ readonly rows: readonly unknown[] }>
}

describeWith([POSTGRES], 'the index of the recipe, in Postgres', () => {
  const stack = new AsyncDisposableStack()
  let pool: Pool
  let postgresFileIndex: (pool: Pool) => FileIndex

  beforeAll(async () => {
    const packages = await shared('ownPackages', PACKAGES)
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 20 }))
    if (isRoot) await chown(directory, NOBODY, NOBODY)
    const data = join(directory, 'data')
    const init = [
      '--pgdata',
      data,
      '--username=app',
      '--auth=trust',
      '--encoding=UTF8',
      '--no-sync',
    ]
    await run(join(POSTGRES_BIN, 'initdb'), init, { ...asUser, cwd: directory })
    const port = await freePort()
    const options = ['-D', data, '-p', `${port}`, '-k', directory, '-h', '127.0.0.1', '-F']
    const server = spawn(join(POSTGRES_BIN, 'postgres'), options, { ...asUser, stdio: 'ignore' })
    stack.defer(async () => {
      server.kill() // ends when the clients have gone
      if (server.exitCode === null) await once(server, 'exit')
    })
    const { Pool } = createRequire(join(packages, 'pg'))('pg')
    const opened = new Pool({ host: '127.0.0.1', port, user: 'app', database: 'postgres' })
    stack.defer(() => opened.end())
    pool = opened
    const answers = () => pool.query('SELECT 1').then(Boolean, () => false)
    await waitUntil('Postgres answers', answers, 60)
    await pool.query(readPage(`${EXAMPLE}/schema.sql`))
    const example = await import(join(ROOT, EXAMPLE, 'file-index.ts'))
    postgresFileIndex = example.postgresFileIndex
  })
  afterAll(() => stack.disposeAsync())

  describe('which several processes use', () =>
    declareFileIndexContract({ beforeEach, expect, it }, async () => {
      await pool.query('TRUNCATE files')
      return postgresFileIndex(pool)
    }, []))

  it('lists with the primary key, also below a prefix', async () => {
    const { rows } = await pool.query(
      `EXPLAIN SELECT record FROM files WHERE bucket = 'files' AND key > '' AND key >= 'a/'
      AND key <= 'a/' || repeat(chr(1114111), 256) AND starts_with(key, 'a/') ORDER BY key LIMIT 9`,
    )
    expect(JSON.stringify(rows)).toContain('files_pkey')
  })
})
