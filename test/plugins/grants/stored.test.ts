import { runInDurableObject } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { captureLog } from '../../support/capture-log.ts'
import { currently, grantFor, inFuture, outcome, putReport, submit } from '../../support/grants.ts'
import { putUnder } from '../../support/links.ts'
import { stateStub } from '../../support/state-stub.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

afterEach(() => {
  vi.restoreAllMocks()
})

/** The first 32 hexadecimal digits of the SHA-256 of the secret id. */
const ID = '4598ac794eaa5ca01c10c2fdbad11996'
const URL = 'http://localhost:8787/g/q83vEjRWeJCrze8SNFZ4kA'

/** A grant as version 1 stores it. Its hash was computed with Node's crypto. */
const V1 = {
  version: 1,
  id: ID,
  secret: 'q83vEjRWeJCrze8SNFZ4kA',
  owner: {
    kind: 'localhost',
    id: 'localhost',
    scopes: ['files:read', 'links:create', 'grants:create'],
    prefix: '',
    limits: { buckets: null, maxBytes: null, allowedTypes: null, maxExpiresIn: null },
    context: null,
  },
  bucket: 'files',
  key: 'grants/known.pdf',
  name: 'Known.pdf',
  size: 8,
  label: 'For you',
  uses: 3,
  used: 1,
  deadline: 4_102_444_800_000,
  keptSeconds: 604_800,
  password: {
    kid: 'k1',
    salt: 'AAAAAAAAAAAAAAAAAAAAAA',
    hash: 'SWxtjSO57lSyIk5qnIiB9UJO4TfHptkEmEozpDDh-qI',
  },
  direct: false,
  download: 'Report.pdf',
  restrictions: { ips: ['192.0.2.0/24'] },
  createdAt: 1_795_867_200_000,
  lastUsedAt: null,
  pages: [],
}

const store = (grant: object) =>
  runInDurableObject(stateStub('Grants', ID), (_, { storage }) => storage.kv.put('item', grant))

const storedIn = (id: string) =>
  runInDurableObject(stateStub('Grants', id), (_, { storage }) =>
    storage.kv.get<Record<string, unknown>>('item'),
  )

describe('a stored grant', () => {
  // @threat deploy-invalidates
  it('of version 1 is read and used as it was written', async () => {
    await putUnder(V1.key, 'a report')
    await store(V1)
    expect(await currently({ id: ID })).toEqual({
      ...{ id: ID, url: URL, bucket: 'files', key: 'grants/known.pdf', name: 'Known.pdf', size: 8 },
      ...{ label: 'For you', uses: 3, usesLeft: 2, deadline: '2100-01-01T00:00:00.000Z' },
      ...{ hasPassword: true, wrongPasswords: 0, direct: false, download: 'Report.pdf' },
      restrictions: { ips: ['192.0.2.0/24'] },
      createdAt: '2026-11-28T12:00:00.000Z',
      lastUsedAt: null,
    })
    const visit = { password: 'open', ip: '192.0.2.7' }
    expect(await outcome(submit(URL, { ...visit, password: 'shut' }))).toBe('403 password_wrong')
    expect(await outcome(submit(URL, visit))).toBe('303')
    expect(await storedIn(ID)).toEqual({ ...V1, used: 2, lastUsedAt: expect.any(Number) })
  })

  it('has this form', async () => {
    const { owner, password } = V1
    const key = await putReport()
    const { id } = await grantFor({ key, deadline: inFuture(), uses: 3, password: 'open door' })
    const stored = await storedIn(id)
    expect(Object.keys(stored ?? {}).toSorted()).toEqual(Object.keys(V1).toSorted())
    expect(Object.keys(Object(stored?.owner)).toSorted()).toEqual(Object.keys(owner).toSorted())
    expect(Object.keys(Object(stored?.password))).toEqual(Object.keys(password))
    expect(stored).toMatchObject({ version: 1, uses: 3, used: 0, label: null, restrictions: null })
    expect(JSON.stringify(stored)).not.toContain('"open"')
  })

  it('of a newer version is not used', async () => {
    await store({ ...V1, version: 2 })
    const lines = captureLog()
    expect(await outcome(worker.fetch(URL))).toBe('503 unavailable state')
    expect(lines.join()).toContain('version 2 has stored')
  })
})
