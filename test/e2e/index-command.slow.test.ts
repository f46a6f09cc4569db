import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { KEY_SCOPES } from '../../src/access/scopes.ts'
import type { FileRecord } from '../../src/records/file-record.ts'
import { testApiKey } from '../support/credentials.ts'
import { configWithD1, type OwnWorker, startOwnWorker } from './built-worker.ts'

const PROGRAM = join(import.meta.dirname, '../../cli/index-command.ts')
const FILES = 130

/** The members of a KV namespace that are used here. */
interface Namespace {
  put(name: string, value: string, options: { metadata: object }): Promise<void>
  list(): Promise<{ keys: { name: string; metadata: { name: string } }[] }>
}

let directory: string
let s3: S3Server
let worker: OwnWorker
let key: string
/** What KV has: the Worker itself uses D1. */
let records: FileRecord[]
let kv: Namespace

const at = (name: string): string => join(directory, name)

async function call<T>(path: string, method = 'GET', body?: object): Promise<T> {
  const response = await fetch(`${worker.origin}${path}`, {
    method,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
  return (response.status === 204 ? null : await response.json()) as T
}

const inD1 = async (): Promise<FileRecord[]> =>
  (await call<{ records: FileRecord[] }>('/index?from=d1&limit=1000')).records

const start = (args: readonly string[], url = worker.origin): ChildProcess =>
  spawn(process.execPath, [PROGRAM, ...args, '--url', url], {
    env: { ...process.env, EDGE_PRESIGNER_KEY: key },
    cwd: directory,
  })

async function run(args: readonly string[], url?: string) {
  const child = start(args, url)
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error('No output.')
  const [output, errors, [code]] = await Promise.all([
    text(stdout),
    text(stderr),
    once(child, 'close'),
  ])
  expect(output + errors).not.toContain(key)
  return { code, output, errors }
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  s3 = await startS3rver({
    ...{ directory: at('s3'), port: await freePort(), corsOrigins: ['http://localhost:9'] },
  })
  const { token, entry } = await testApiKey('admin', KEY_SCOPES)
  key = token
  const { endpoint, region, bucket } = s3
  worker = await startOwnWorker({
    configPath: await configWithD1(directory),
    buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: { API_KEYS: JSON.stringify([entry]) },
  })
  kv = (await worker.bindings()).FILE_INDEX as Namespace
  const uploads: { key: string; uploadUrl: string }[] = []
  for (let i = 0; i < FILES; i += 65) {
    const files = Array.from({ length: 65 }, (_, j) => ({
      fileName: `${i + j}.txt`,
      mimetype: 'text/plain',
    }))
    const signed = await call<{ uploads: typeof uploads }>('/files/upload-urls', 'POST', { files })
    uploads.push(...signed.uploads)
  }
  records = uploads
    .map(({ key }) => ({
      ...{ key: key as FileRecord['key'], bucket: 'files', name: 'a.txt', size: 5 },
      ...{ mimetype: 'text/plain', etag: '"e"', owner: 'key:admin' },
      createdAt: '2026-11-24T12:00:00.000Z',
    }))
    .toSorted((one, two) => (one.key < two.key ? -1 : 1))
  for (const { uploadUrl } of uploads) {
    const headers = { 'Content-Type': 'text/plain' }
    const put = await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })
    expect(put.status).toBe(200)
  }
  for (const { key: name, bucket: alias, ...metadata } of records)
    await kv.put(`file:${alias}:${name}`, '', { metadata: { v: 1, ...metadata } })
})

afterAll(async () => {
  await worker?.close()
  await s3?.close()
  await rm(directory, { recursive: true })
})

/** Returns a server in front of the Worker that never answers from the PUT number `held` on. */
async function holdingProxy(held: number, onHeld: () => void): Promise<Server> {
  let puts = 0
  const server = createServer(async (request, response) => {
    if (request.method === 'PUT' && ++puts >= held) return onHeld()
    const { method = '', url = '', headers } = request
    const body = await buffer(request)
    const answer = await fetch(`${worker.origin}${url}`, {
      method,
      headers: {
        Authorization: headers.authorization ?? '',
        'Content-Type': 'application/json',
      },
      ...(body.length > 0 && { body }),
    })
    response.writeHead(answer.status).end(await answer.text())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const page = (records: object[]) => ({ buckets: ['files'], records, unreadable: 0 })

/** Starts a server instead of the Worker. */
async function fakeWorker(
  onGet: (from: string, cursor: string) => Promise<object>,
  onPut: (body: {
    overwrite: boolean
    records: { key: string }[]
  }) => Promise<readonly [number, object]>,
) {
  const server = createServer(async (request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://localhost')
    const [status, body] =
      request.method === 'PUT'
        ? await onPut(JSON.parse(await text(request)))
        : [200, await onGet(searchParams.get('from') ?? '', searchParams.get('cursor') ?? '')]
    response.writeHead(status).end(JSON.stringify(body))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { origin: `http://127.0.0.1:${port}`, close: () => server.close() }
}

describe('npx edge-presigner index', () => {
  it('copies from KV to D1, also after it was killed, and leaves out what is gone', async () => {
    const held = Promise.withResolvers<void>()
    const proxy = await holdingProxy(3, held.resolve)
    const { port } = proxy.address() as AddressInfo
    const child = start(['copy', '--from', 'kv', '--to', 'd1'], `http://127.0.0.1:${port}`)
    await held.promise
    await expect.poll(async () => (await inD1()).length).toBe(24)
    child.kill('SIGKILL')
    await once(child, 'close')
    proxy.closeAllConnections()
    proxy.close()

    // Both are in KV still, since the Worker uses D1. One is not copied yet.
    const [first, gone, ...rest] = [records[0], records.at(-1), ...records.slice(1, -1)]
    await call(`/files/${encodeURIComponent(first?.key ?? '')}`, 'DELETE')
    await call(`/files/${encodeURIComponent(gone?.key ?? '')}`, 'DELETE')
    const copied = await run(['copy', '--from', 'kv', '--to', 'd1'])
    expect(copied).toMatchObject({ code: 0, errors: '' })
    // Of the 24 that were copied before, one has been deleted.
    expect(copied.output).toContain(`Pass 1: ${FILES} read, ${FILES - 25} stored, 0 kept, 2 gone`)
    expect(copied.output).toContain('d1 has every record of kv, without 2 whose file is gone.')
    expect(await inD1()).toEqual(rest)
  })

  it('removes what was deleted between two passes', async () => {
    // As if it had been deleted after it was copied, by a Worker that uses KV.
    const ghost = { ...records[5], key: 'uploads/ghost.txt', etag: '"g"' }
    const { FILES_DB } = (await worker.bindings()) as {
      FILES_DB: { prepare(sql: string): { bind(...values: unknown[]): { run(): Promise<void> } } }
    }
    await FILES_DB.prepare(
      "INSERT INTO presigner_files (bucket, key, name, size, mimetype, etag, owner, created_at, folded, tokens, folders) VALUES ('files', ?, 'g', 5, 'text/plain', '\"g\"', NULL, '2026-11-24T12:00:00.000Z', 'g', '', '[]')",
    )
      .bind(ghost.key)
      .run()
    expect((await inD1()).map((one) => one.key)).toContain(ghost.key)
    expect((await run(['copy', '--from', 'kv', '--to', 'd1'])).code).toBe(0)
    expect((await inD1()).map((one) => one.key)).not.toContain(ghost.key)
  })

  it('saves the records in a file for its owner, and restores what is missing', async () => {
    const before = await inD1()
    const saved = await run(['backup', 'index.ndjson', '--from', 'd1'])
    expect(saved).toMatchObject({ code: 0, errors: '' })
    expect((await stat(at('index.ndjson'))).mode & 0o777).toBe(0o600)
    const again = await run(['backup', 'index.ndjson', '--from', 'd1'])
    expect(again).toMatchObject({ code: 1, errors: 'index.ndjson exists already.\n' })

    const { FILES_DB } = (await worker.bindings()) as {
      FILES_DB: { exec(sql: string): Promise<unknown> }
    }
    await FILES_DB.exec('DELETE FROM presigner_files')
    expect(await inD1()).toEqual([])
    const restored = await run(['restore', 'index.ndjson', '--to', 'd1'])
    expect(restored).toMatchObject({ code: 0, errors: '' })
    expect(restored.output).toContain('d1 has every record of index.ndjson.')
    expect(await inD1()).toEqual(before)
  })

  it('refuses a backup that is cut off, or that somebody has changed', async () => {
    const whole = await readFile(at('index.ndjson'), 'utf8')
    const lines = whole.trimEnd().split('\n')
    for (const [name, content, message] of [
      ['cut.ndjson', lines.slice(0, -1).join('\n'), 'not a complete one'],
      ['short.ndjson', lines.toSpliced(3, 1).join('\n'), 'not a complete one'],
      ['other.ndjson', '{}\n', 'not a backup'],
      ['odd.ndjson', lines.toSpliced(1, 1, '{"key": "a"}').join('\n'), 'line 2 is not a record'],
    ] as const) {
      await writeFile(at(name), content)
      const { code, errors } = await run(['restore', name, '--to', 'd1'])
      expect.soft(code, name).toBe(1)
      expect.soft(errors, name).toContain(message)
    }
  })

  it('copies back to KV, with --overwrite also new names', async () => {
    const one = { ...records[1], name: 'new.txt' }
    await call('/index', 'PUT', { to: 'd1', overwrite: true, records: [one] })
    const inKv = async () =>
      (await call<{ records: FileRecord[] }>('/index?from=kv&limit=1000')).records
    const kept = await run(['copy', '--from', 'd1', '--to', 'kv'])
    expect(kept).toMatchObject({ code: 0, errors: '' })
    expect(kept.output).toContain('kv has every record of d1, keeps 1 of its own.')
    expect(await inKv()).not.toContainEqual(one)
    const copied = await run(['copy', '--from', 'd1', '--to', 'kv', '--overwrite'])
    expect(copied).toMatchObject({ code: 0, errors: '' })
    expect(await inKv()).toContainEqual(one)
    expect(await inKv()).toEqual(await inD1())
  })

  it('restores a backup with a key that has a line separator', async () => {
    const { key: _, bucket, ...metadata } = records[0] as FileRecord
    for (const name of ['a\u2028b', 'c\u2029d'])
      await kv.put(`file:${bucket}:uploads/${name}.txt`, '', { metadata: { v: 1, ...metadata } })
    expect((await run(['backup', 'lines.ndjson', '--from', 'kv'])).code).toBe(0)
    const windows = (await readFile(at('lines.ndjson'), 'utf8')).replaceAll('\n', '\r\n')
    await writeFile(at('windows.ndjson'), windows)
    for (const name of ['lines.ndjson', 'windows.ndjson']) {
      const restored = await run(['restore', name, '--to', 'd1'])
      expect.soft(restored, name).toMatchObject({ code: 0, errors: '' })
    }
  })

  it('sends what only the target has to be checked, and never to replace a newer name', async () => {
    const bodies: { overwrite: boolean; records: object[] }[] = []
    const one = { ...(records[0] as FileRecord), key: 'b' }
    const { origin, close } = await fakeWorker(
      async (from) =>
        page(
          from === 'kv'
            ? [one]
            : [
                { ...one, name: 'b.txt' },
                { ...one, key: 'c' },
              ],
        ),
      async (body) => {
        bodies.push(body)
        return [200, { records: body.records.map(({ key }) => ({ key, outcome: 'kept' })) }]
      },
    )
    await run(['copy', '--from', 'kv', '--to', 'd1', '--overwrite'], origin)
    close()
    const sent = bodies.map(({ overwrite, records }) => [overwrite, records])
    expect(sent).toEqual([
      [true, [one]],
      [false, [{ ...one, key: 'c' }]],
    ])
  })

  it('ends with a message if a page is refused while it reads the next one', async () => {
    const many = Array.from({ length: 30 }, (_, i) => ({
      ...(records[0] as FileRecord),
      key: `a/${10 + i}`,
    }))
    const { origin, close } = await fakeWorker(
      async (from, cursor) => {
        if (from !== 'kv' || cursor) await delay(1000)
        return from === 'kv' && !cursor ? { ...page(many), cursor: 'next' } : page([])
      },
      async () => [400, { code: 'invalid_request', message: 'No.' }],
    )
    const { code, errors } = await run(['copy', '--from', 'kv', '--to', 'd1'], origin)
    close()
    expect(code).toBe(1)
    expect(errors).toBe('The Worker answered 400: invalid_request. No.\n')
  })

  // @threat index-key-sent
  it.each<readonly [string, readonly string[], string]>([
    ['an HTTP URL', ['copy', '--url', 'http://files.example'], 'must start with https://'],
    ['no URL', ['copy', '--from', 'kv', '--to', 'd1'], '--url is missing'],
    ['a query', ['copy', '--url', 'https://files.example/?a=1'], 'no query'],
    ['no variable', ['copy', '--url', 'https://a.example', '--key-from', 'NO'], 'variable NO'],
  ])('refuses %s', async (_, args, message) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      env: { ...process.env, EDGE_PRESIGNER_KEY: key },
    })
    const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect(code).toBe(1)
    expect(errors).toContain(message)
  })

  // @threat index-key-sent
  it('follows no redirect', async () => {
    const asked: string[] = []
    const server = createServer(({ url = '' }, response) => {
      asked.push(url)
      response.writeHead(302, { Location: '/elsewhere' }).end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const args = ['copy', '--from', 'kv', '--to', 'd1']
    const { code, errors } = await run(args, `http://127.0.0.1:${port}`)
    expect(code).toBe(1)
    expect(errors).toContain('The Worker answered 302')
    expect(asked).toEqual(['/index?from=kv&limit=1'])
    server.close()
  })

  it('needs no key for this machine, and keeps the path of an app', async () => {
    const asked: unknown[] = []
    const server = createServer(({ url, headers }, response) => {
      asked.push([url, headers.authorization])
      response.writeHead(404).end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/media/`
    await run(['copy', '--from', 'kv', '--to', 'd1', '--key-from', 'NO'], url)
    expect(asked).toEqual([['/media/index?from=kv&limit=1', undefined]])
    server.close()
  })

  it('says what the Worker refuses, and never shows the key', async () => {
    const { code, errors } = await run(['copy', '--from', 'redis', '--to', 'd1'])
    expect(code).toBe(1)
    expect(errors).toContain('not_supported')
    expect(errors).toContain('kv, d1')
  })
})
