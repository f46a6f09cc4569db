/*
 * Runs the packed package on the Node that runs this, without Vitest, which needs a newer one: the contract of file
 * indexes with the one in SQLite, and a presigner on Node's `http`. The bucket is in the variables.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { beforeEach, describe, it } from 'node:test'
import { createPresigner, defineSettings, settingsFromEnv } from 'edge-presigner'
import { files } from 'edge-presigner/files'
import { links } from 'edge-presigner/links'
import { multipart } from 'edge-presigner/multipart'
import { toNodeHandler } from 'edge-presigner/node'
import { sqliteFileIndex } from 'edge-presigner/sqlite'
import { declareFileIndexContract } from 'edge-presigner/testing'

const [, , folder = ''] = process.argv
let paths = 0
const open = () => sqliteFileIndex(join(folder, `${paths++}`, 'files.db'))

/** What the contract needs of `expect`. Members that are undefined are the same as missing ones, but in `toStrictEqual`. */
const plain = (value) => (value === undefined ? value : JSON.parse(JSON.stringify(value)))
const check = (value, is) => ({
  toBe: (other) => is(Object.is(value, other)),
  toBeGreaterThan: (other) => is(value > other),
  toBeLessThanOrEqual: (other) => is(value <= other),
  toBeNull: () => is(value === null),
  toEqual: (other) =>
    typeof other === 'function' ? is(other(value)) : is(isSame(plain(value), plain(other))),
  toMatchObject: (other) =>
    is(Object.entries(other).every(([name, one]) => isSame(plain(value[name]), plain(one)))),
  toStrictEqual: (other) => is(isSame(value, other)),
})
const isSame = (one, other) => {
  try {
    assert.deepEqual(one, other)
    return true
  } catch {
    return false
  }
}
const expect = Object.assign(
  (value, message) => ({
    ...check(value, (holds) => assert.ok(holds, `${message}: ${JSON.stringify(value)}`)),
    not: check(value, (holds) => assert.ok(!holds, `${message}: ${JSON.stringify(value)}`)),
    rejects: {
      toEqual: ({ code }) => assert.rejects(value, { code }),
    },
  }),
  { any: (type) => (value) => typeof value === type.name.toLowerCase() },
)

describe(`the index in SQLite on Node ${process.version}`, () => {
  declareFileIndexContract({ beforeEach, expect, it }, open)

  it('searches, sorts and counts', async () => {
    const index = open()
    const record = (name, size) => ({
      ...{ bucket: 'files', key: `a/${name}`, name, size, mimetype: 'image/png', etag: '"1"' },
      ...{ owner: null, createdAt: '2026-11-24T12:00:00.000Z' },
    })
    await index.put(record('Crème brûlée.png', 2))
    await index.put(record('Boat.png', 3))
    const find = async (query) => {
      const found = await index.answers.find({ bucket: 'files', prefix: '', limit: 9, ...query })
      return found.records.map(({ size }) => size)
    }
    assert.deepEqual(await find({ q: 'creme' }), [2])
    assert.deepEqual(await find({ sort: '-size' }), [3, 2])
    const { count, bytes } = await index.answers.stats({ bucket: 'files', prefix: '' })
    assert.deepEqual([count, bytes], [2, 5])
  })
})

it('the API on Node uploads, lists, finds, shows and deletes a file', async () => {
  const media = createPresigner(defineSettings(settingsFromEnv(process.env)), {
    basePath: '/api/media',
    plugins: [files({ index: open() }), links(), multipart()],
    authenticate: ({ env }) =>
      env.incoming.headers.cookie === 'user=ada' && {
        id: 'ada',
        scopes: ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create'],
        prefix: 'users/ada/',
      },
    log: () => undefined,
  })
  const server = createServer(toNodeHandler(media)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${server.address().port}`
  const ask = async (method, path, body) => {
    const response = await fetch(`${origin}/api/media${path}`, {
      method,
      headers: { Cookie: 'user=ada', ...(body && { 'Content-Type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    assert.ok(response.ok, `${method} ${path}: ${response.status}`)
    return response.status === 204 ? null : response.json()
  }
  try {
    assert.equal((await fetch(`${origin}/api/media/files`)).status, 401)
    const file = { fileName: 'Hello.txt', mimetype: 'text/plain', size: 5 }
    const { uploadUrl, headers, key } = await ask('POST', '/files/upload-url', file)
    assert.equal((await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })).status, 200)
    await ask('POST', '/files', { key, name: 'Hello.txt' })
    for (const query of ['', '?q=hello', '?sort=-size'])
      assert.deepEqual(
        (await ask('GET', `/files${query}`)).files.map((one) => one.key),
        [key],
      )
    const path = `/files/${encodeURIComponent(key)}`
    const { link } = await ask('POST', `${path}/link`, {})
    const part = await fetch(link.replace(/^.*\/api/, `${origin}/api`), {
      headers: { Range: 'bytes=1-3' },
    })
    assert.deepEqual([part.status, await part.text()], [206, 'ell'])
    await ask('DELETE', path)
    assert.deepEqual((await ask('GET', '/files')).files, [])
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
