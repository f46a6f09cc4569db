import { beforeAll, describe, expect, inject, it } from 'vitest'
import { type Link, linkTo, open, putObject, requestsFor, textOf } from '../support/links.ts'
import { outcomeOf, ROUTES, requestTo } from '../support/protected-routes.ts'
import { baseVariables, s3rverBucket, testWorker } from '../support/worker.ts'

const NFC = '\u00e9'
const NFD = 'e\u0301'
const { counting } = inject('testPorts')

/** A bucket that normalizes keys, as R2 does. `Objects` has it under the same alias. */
const worker = testWorker({
  BUCKETS: {
    counted: {
      ...s3rverBucket(),
      endpoint: `http://127.0.0.1:${counting}`,
      normalizesKeys: true,
    },
  },
})

describe('a key that is not NFC, in a bucket that normalizes keys,', () => {
  // @threat key-two-spellings
  it('is refused by every route that takes a key', async () => {
    for (const route of ROUTES.filter(({ takesKey }) => takesKey)) {
      const response = await worker.fetch(...requestTo(route, `users/${NFD}/a.txt`))
      expect.soft(await outcomeOf(route, response), route.route).toBe('400 invalid_key')
    }
  })

  it.each(['/files/urls', '/links'])(
    'is refused by POST %s, without an effect on other keys',
    async (path) => {
      const keys = [`${NFD}.txt`, `${NFC}.txt`]
      const response = await worker.post(path, { keys })
      const answer = await response.json<Record<string, unknown[]>>()
      const [refused, taken] = answer.urls ?? answer.links ?? []
      expect(refused).toEqual({
        key: keys[0],
        error: { code: 'invalid_key', message: expect.stringContaining('NFC') },
      })
      expect(taken).toMatchObject({ key: keys[1] })
      expect(taken).not.toHaveProperty('error')
    },
  )

  it('is accepted by other buckets', async () => {
    const other = testWorker({ ...baseVariables() })
    expect((await other.fetch(`/files/${encodeURIComponent(NFD)}/url`)).status).toBe(200)
  })
})

it('generates keys in NFC for a directory that is not', async () => {
  const file = { fileName: `${NFD}.txt`, mimetype: 'text/plain', directory: NFD }
  const { key }: { key: string } = await (await worker.post('/files/upload-url', file)).json()
  expect(key).toMatch(new RegExp(`^uploads/${NFC}/[0-9a-z]{20}-${NFC}\\.txt$`))
})

describe('a link to a key that is not NFC, from before normalizesKeys was set,', () => {
  let key: string
  let link: (body?: object) => Promise<Link>

  beforeAll(async () => {
    key = await putObject(`${NFC}.txt`, 'hello', 'text/plain')
    link = (body) => linkTo(key.normalize('NFD'), body)
  })

  it('leads to the object, and shares the edge copy of its NFC spelling', async () => {
    for (const { link: url } of [await linkTo(key), await link()]) {
      const response = await worker.fetch(url)
      expect(response.status).toBe(200)
      expect(await textOf(response)).toBe('hello')
    }
    expect(await requestsFor(key)).toBe(1)
    expect(await requestsFor(key.normalize('NFD'))).toBe(0)
  })

  // @threat key-two-spellings
  it('loses the copy when the object is deleted', async () => {
    const { link: url } = await link()
    expect((await worker.fetch(url)).status).toBe(200)
    const deleted = await worker.fetch(`/files/${encodeURIComponent(key)}`, { method: 'DELETE' })
    expect(deleted.status).toBe(204)
    expect((await worker.fetch(url)).status).toBe(404)
  })

  it('redirects to the key in NFC', async () => {
    const { link: url } = await link({ delivery: 'redirect' })
    const response = await worker.fetch(url, { redirect: 'manual' })
    expect(response.headers.get('Location')).toContain(encodeURIComponent(NFC))
  })

  it('does not lead to the NFC key in a bucket that does not normalize keys', async () => {
    const { link: url } = await link()
    expect((await open(url)).status).toBe(404)
  })
})
