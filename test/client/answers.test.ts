import { beforeAll, describe, expect, it } from 'vitest'
import { createServerClient, type ServerClient } from '../../client/src/server.ts'
import { testApiKey } from '../support/credentials.ts'
import { testDatabase } from '../support/d1.ts'
import { testWorker } from '../support/worker.ts'

/** Returns a client of a Worker with these variables, and an API key for its own prefix. */
async function clientWith(variables: object): Promise<ServerClient> {
  const scopes = [
    'files:upload',
    'files:list',
    'files:delete',
    'keys:choose',
    'objects:list',
  ] as const
  const { entry, token } = await testApiKey('asker', scopes, 'asked/')
  const origin = 'https://presigner.example'
  const worker = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [entry], ...variables }, origin)
  return createServerClient({ baseUrl: origin, apiKey: token, fetch: worker.fetch })
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('the server client, and an index in D1', () => {
  let client: ServerClient
  beforeAll(async () => {
    client = await clientWith({ FILES_DB: testDatabase })
    for (const [path, bytes, mimetype] of [
      ['a/Große Rechnung.pdf', 30, 'application/pdf'],
      ['a/b/rechnung-2.png', 10, 'image/png'],
      ['c/boat.png', 20, 'image/png'],
      ['note.txt', 1, 'text/plain'],
    ] as const)
      await client.upload(new Uint8Array(bytes), { key: `asked/${path}`, mimetype })
  })
  const names = async (options: Parameters<ServerClient['list']>[0]) =>
    (await collect(client.list(options))).map(({ name }) => name)

  it('searches, sorts and filters, page by page', async () => {
    expect(await client.limits()).toMatchObject({ answers: true })
    expect(await names({ q: 'GROSSE rech' })).toEqual(['Große Rechnung.pdf'])
    expect(await names({ q: 'große rech' })).toEqual(['Große Rechnung.pdf'])
    expect(await names({ sort: '-size', pageSize: 1 })).toEqual([
      ...['Große Rechnung.pdf', 'boat.png', 'rechnung-2.png', 'note.txt'],
    ])
    expect(await names({ type: 'image/*', sort: 'size', minSize: 11 })).toEqual(['boat.png'])
    expect(await names({ q: 'rechnung', prefix: 'asked/a/b/' })).toEqual(['rechnung-2.png'])
    const { owner } = (await client.list().next()).value ?? {}
    expect(await names({ owner: owner ?? '', maxSize: 1 })).toEqual(['note.txt'])
    expect(await names({ createdAfter: '2100-01-01T00:00:00Z' })).toEqual([])
    expect(await names({ createdBefore: '2100-01-01T00:00:00Z', maxSize: 1 })).toHaveLength(1)
  })

  it('has folders and totals', async () => {
    const folders = [
      { prefix: 'asked/a/', count: 2, bytes: 40 },
      { prefix: 'asked/c/', count: 1, bytes: 20 },
    ]
    for (const pageSize of [1, 2, 100])
      expect(await collect(client.listFolders({ pageSize }))).toEqual(folders)
    expect(await collect(client.listFolders({ prefix: 'asked/c/' }))).toEqual([])
    expect(await client.stats()).toEqual({ count: 4, bytes: 61 })
    expect(await client.stats({ prefix: 'asked/a/', groupBy: 'type' })).toEqual({
      ...{ count: 2, bytes: 40 },
      groups: [
        { value: 'application/pdf', count: 1, bytes: 30 },
        { value: 'image/png', count: 1, bytes: 10 },
      ],
    })
    await client.remove('asked/c/boat.png')
    expect(await client.stats({ groupBy: 'folder' })).toMatchObject({ count: 3, bytes: 41 })
  })

  it('has the objects of the bucket, with a mark for what has no record', async () => {
    const pages = await collect(client.objects({ delimiter: '/', pageSize: 1 }))
    expect(pages.flatMap(({ objects }) => objects)).toMatchObject([
      { key: 'asked/note.txt', size: 1, isRecorded: true },
    ])
    expect(pages.flatMap(({ folders = [] }) => folders)).toEqual([{ prefix: 'asked/a/' }])
    const all = await collect((await clientWith({})).objects())
    expect(all.flatMap(({ objects }) => objects.map(({ isRecorded }) => isRecorded))).toEqual([
      ...[false, false, false],
    ])
  })

  it('without D1: says that only D1 answers', async () => {
    const other = await clientWith({})
    expect(await other.limits()).toMatchObject({ answers: false })
    const refused = { code: 'not_supported', status: 501, message: expect.stringMatching(/D1/) }
    await expect(other.stats()).rejects.toMatchObject(refused)
    await expect(collect(other.list({ q: 'a' }))).rejects.toMatchObject(refused)
    await expect(collect(other.listFolders())).rejects.toMatchObject(refused)
  })
})
