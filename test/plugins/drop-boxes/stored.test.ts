import { runInDurableObject } from 'cloudflare:test'
import { expect, it } from 'vitest'
import { publicIdOf } from '../../../src/state/item.ts'
import { inFuture, objectOf, outcome, passes, visit } from '../../support/drop-boxes.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

/** What the first version has stored of a box that has received one file. */
async function storedBox(changes: object = {}) {
  const secret = `${crypto.randomUUID().replaceAll('-', '').slice(0, 21)}A`
  const id = (await publicIdOf(secret)) ?? ''
  const limits = { buckets: ['files'], maxBytes: 1000, allowedTypes: null, maxExpiresIn: null }
  const box = {
    ...{ version: 1, id, instance: '', secret, bucket: 'files', key: `stored/${id}/` },
    ...{ from: 'Example GmbH', title: 'Papers', message: null },
    ...{
      deadline: Date.parse(inFuture()),
      createdAt: Date.now(),
      ...{ closedAt: null, isErased: false },
      keptSeconds: 86_400,
    },
    ...{ maxFiles: 3, maxBytes: 1000, maxTotalBytes: 2000, allowedTypes: null, password: null },
    owner: {
      ...{ kind: 'localhost', id: 'localhost', scopes: ['drop-boxes:create', 'files:upload'] },
      ...{ prefix: `stored/${id}/`, limits, context: null },
    },
    ...changes,
  }
  await runInDurableObject(objectOf({ id }), (_, { storage }) => {
    const { kv, sql } = storage
    kv.put('item', box)
    sql.exec(
      `CREATE TABLE uploads (key TEXT PRIMARY KEY, size INTEGER NOT NULL, state TEXT NOT NULL,
        ends INTEGER, at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, network TEXT NOT NULL,
        around TEXT NOT NULL, country TEXT, sender TEXT, s3_upload TEXT, starting INTEGER NOT NULL,
        listed INTEGER NOT NULL DEFAULT 0, seq INTEGER UNIQUE, etag TEXT, name TEXT, mimetype TEXT,
        arrived INTEGER, records INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0) STRICT`,
    )
    sql.exec('CREATE TABLE waiting (around TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT')
    sql.exec(
      `INSERT INTO uploads VALUES ('stored/a', 5, 'kept', NULL, 1, 0, 'n', 'm', 'DE', '{"name":"Ann","note":"Hi"}', 'id', 0, 0, 1, '"a"', 'a', 'text/plain', 1764000000000, 1, 1)`,
    )
    sql.exec(
      "INSERT INTO uploads VALUES ('stored/b', 5, 'open', 4102444800000, 1, 0, 'n', 'm', 'DE', NULL, 'id', 0, 0, NULL, NULL, NULL, NULL, NULL, 0, 0)",
    )
  })
  return { id, url: `http://localhost:8787/d/${secret}` }
}

it('reads what the first version has stored', async () => {
  const box = await storedBox()
  const own = await worker.fetch(`/drop-boxes/${box.id}`)
  expect(await own.json()).toMatchObject({ title: 'Papers', received: { files: 1, bytes: 5 } })
  const files = await worker.fetch(`/drop-boxes/${box.id}/files`)
  expect(await files.json()).toEqual({
    files: [
      {
        ...{ key: 'stored/a', bucket: 'files', name: 'a', size: 5, mimetype: 'text/plain' },
        ...{ receivedAt: '2025-11-24T16:00:00.000Z', country: 'DE' },
        sender: { name: 'Ann', note: 'Hi' },
      },
    ],
  })
  expect((await (await visit(box)).send()).status).toBe(201)
  expect((await objectOf(box).read())?.left).toEqual({ files: 0, bytes: 1985 })
})

it('is not used if a later version has stored it', async () => {
  const box = await storedBox({ version: 2 })
  expect(await outcome(await worker.fetch(box.url))).toBe('503 unavailable state')
  expect(await outcome(await worker.fetch(`/drop-boxes/${box.id}`))).toBe('503 unavailable state')
  // Its alarm leaves everything as it is.
  await runInDurableObject(objectOf(box), (_, { storage }) => storage.setAlarm(Date.now() + 1e6))
  await passes(0, box)
  const rows = await runInDurableObject(objectOf(box), (_, { storage }) =>
    storage.sql.exec('SELECT key FROM uploads WHERE ends IS NOT NULL').toArray(),
  )
  expect(rows).toEqual([{ key: 'stored/b' }])
})
