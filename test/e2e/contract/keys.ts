import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import type { Capabilities, Context } from './context.ts'

export const KEYS = [
  'two words.txt',
  'plus+plus=two.txt',
  '100%.txt',
  'not%20decoded%2Ftwice.txt',
  'what?a=b&c.txt',
  'hash#tag.txt',
  "quotes'(and)*brackets!~.txt",
  '[x]{y}|^`<z>.txt',
  ':@$,;=.txt',
  'back\\slash.txt',
  'dots..and...more/.hidden',
  'docs/url',
  'url',
  'upload-url',
  'link/urls/link',
  '漢字/ファイル.txt',
  'e\u0301 is not \u00e9.txt',
  '🦊/👩‍👩‍👧.txt',
]

/** Every valid key names the same object for the Worker, the server and an independent client. */
export function keyRules(
  context: () => Context,
  { keepsEmptySegments, normalizesKeys }: Capabilities,
): void {
  const names = (key: string) => !normalizesKeys || key === key.normalize('NFC')

  it.each(KEYS.filter(names))('finds, signs, lists and deletes %j', async (key) => {
    const { api, s3, server, head } = context()
    const body = `the text of ${key}`
    const object = { Bucket: server.bucket, Key: key }
    await s3.send(new PutObjectCommand({ ...object, Body: body, ContentType: 'text/plain' }))

    const record = await api.confirm({ key, name: key })
    expect(record).toMatchObject({ key, size: Buffer.byteLength(body), mimetype: 'text/plain' })
    expect(await api.record(key)).toEqual(record)
    expect(await api.list({ prefix: key })).toEqual([record])

    const download = await api.url(key)
    expect(download.key).toBe(key)
    const got = await fetch(download.url)
    expect([got.status, await got.text()]).toEqual([200, body])

    await api.remove(key)
    expect(await head(key)).toBeNull()
  })

  it('deletes all of them in one request to the bucket, and nothing else', async () => {
    const { api, s3, server, head, requestsFor } = context()
    const keys = [
      ...KEYS.filter(names).map((key) => `many/${key}`),
      ...[' space.txt', 'end .txt ', '007', '1e3', 'x\uFFFEy'],
    ]
    const kept = ['space.txt', 'end .txt', '7', '1000', 'x', 'many/two words.txt.bak']
    const put = (key: string) =>
      s3.send(new PutObjectCommand({ Bucket: server.bucket, Key: key, Body: key }))
    await Promise.all([...keys, ...kept].map(put))
    expect(await api.removeMany(keys, 'counted')).toEqual(keys.map((key) => ({ key })))
    expect(await Promise.all(keys.map((key) => head(key)))).toEqual(keys.map(() => null))
    expect(await Promise.all(kept.map((key) => head(key)))).not.toContain(null)
    // DeleteObjects, instead of a request for each key. Nobody generated these keys, so the Worker
    // also looks once for a new object.
    expect(await requestsFor('many/two words.txt')).toBe(1)
    expect(await requestsFor(' space.txt')).toBe(2)
  })

  const others = KEYS.filter((key) => !names(key))
  it.each(others)('refuses %j, which is a second spelling of an object', async (key) => {
    const refusal = await context().api.refusal('POST', '/files', { key, name: 'name' })
    expect(refusal).toEqual({ status: 400, code: 'invalid_key' })
  })

  it(
    keepsEmptySegments
      ? 'distinguishes a//b from a/b, and /b from b'
      : 'signs a//b, although this server treats it as a/b',
    async () => {
      const { api, s3, server } = context()
      const text = async (key: string) => (await fetch((await api.url(key)).url)).text()
      const keys = keepsEmptySegments ? ['a//b', 'a/b', '/b', 'b'] : ['a//b']
      const objects = keys.map((key) => ({ Bucket: server.bucket, Key: key }))
      for (const object of objects)
        await s3.send(new PutObjectCommand({ ...object, Body: `text of ${object.Key}` }))
      for (const key of keys) {
        expect(await text(key)).toBe(`text of ${key}`)
        expect((await api.confirm({ key, name: 'b' })).key).toBe(key)
      }
      for (const object of objects) await s3.send(new DeleteObjectCommand(object))
    },
  )

  it('signs a key of 1024 bytes, which the index refuses', async () => {
    const { api, s3, server } = context()
    const key = `${`${'k'.repeat(127)}/`.repeat(7)}${'k'.repeat(128)}`
    expect(key).toHaveLength(1024)
    const object = { Bucket: server.bucket, Key: key }
    await s3.send(new PutObjectCommand({ ...object, Body: 'long' }))
    expect(await (await fetch((await api.url(key)).url)).text()).toBe('long')
    const refusal = await api.refusal('POST', '/files', { key, name: 'long' })
    expect(refusal).toEqual({ status: 400, code: 'key_not_indexable' })
    await api.remove(key)
  })
}
