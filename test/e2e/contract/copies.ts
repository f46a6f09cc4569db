import { PutObjectCommand } from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import { type Capabilities, type Context, SMALL_BYTES } from './context.ts'
import { KEYS } from './keys.ts'

/** The server copies by requests that the Worker signs, also objects with every kind of key. */
export function copyRules(
  context: () => Context,
  { normalizesKeys, copiesObjects, passSecond }: Capabilities,
): void {
  const names = (key: string) => !normalizesKeys || key === key.normalize('NFC')
  const put = (key: string, body = `the text of ${key}`) => {
    const { s3, server } = context()
    const object = { Bucket: server.bucket, Key: key, Body: body, ContentType: 'text/plain' }
    return s3.send(new PutObjectCommand({ ...object, Metadata: { color: 'red' } }))
  }
  const text = async (key: string, bucket = 'files'): Promise<string> =>
    (await fetch((await context().withD1.url(key, { bucket })).url)).text()

  if (!copiesObjects) {
    it.each([false, true])(
      'a server that only claims to copy keeps the source (overwrite: %s)',
      async (overwrite) => {
        const { withD1: api, head } = context()
        const [from, to] = ['copies/new.txt', 'copies/old.txt']
        await put(from)
        if (overwrite) await put(to)
        const failed = { status: 502, code: 'storage_error' }
        for (const kind of ['copy', 'move'])
          expect(await api.refusal('POST', `/files/${kind}`, { from, to, overwrite })).toEqual(
            failed,
          )
        expect(await text(from)).toBe(`the text of ${from}`)
        expect((await head(to)) !== null).toBe(overwrite)
        await api.removeMany([from, to])
      },
    )
    return
  }

  it.each(KEYS.filter(names))('copies and moves %j', async (key) => {
    const { withD1: api, head } = context()
    const from = `copies/${key}`
    const body = `the text of ${from}`
    await put(from)
    const copied = await api.transfer('copy', { from, to: `copied/${key}` })
    expect(copied).toMatchObject({ key: `copied/${key}`, mimetype: 'text/plain' })
    expect(await text(copied.key)).toBe(body)
    expect((await head(copied.key))?.Metadata).toMatchObject({ color: 'red' })

    const moved = await api.transfer('move', { from, to: `moved/${key}` })
    expect(moved.size).toBe(Buffer.byteLength(body))
    expect(await text(moved.key)).toBe(body)
    expect(await head(from)).toBeNull()
    const again = await api.transfer('move', { from, to: `moved/${key}` })
    expect(again).toEqual(moved)
    await api.removeMany([copied.key, moved.key])
  })

  it('copies with an index in Workers KV, and moves nothing, since that can not lock keys', async () => {
    const { api, head } = context()
    const [from, to] = ['copies/kv.txt', 'copied/kv.txt']
    await put(from)
    expect(await api.transfer('copy', { from, to })).toMatchObject({ key: to })
    const moved = { from, to: 'moved/kv.txt' }
    const refusal = { status: 501, code: 'not_supported' }
    expect(await api.refusal('POST', '/files/move', moved)).toEqual(refusal)
    expect(await head(from)).not.toBeNull()
    await api.removeMany([from, to])
  })

  it('copies to another bucket of the server, and moves back', async () => {
    const { withD1: api, head, server } = context()
    const key = 'copies/hot.txt'
    await put(key)
    const moved = await api.transfer('move', { from: key, to: key, toBucket: 'archive' })
    expect(moved).toMatchObject({ key, bucket: 'archive' })
    expect(await head(key)).toBeNull()
    expect(await text(key, 'archive')).toBe(`the text of ${key}`)
    passSecond?.()
    const back = { from: key, to: key, bucket: 'archive', toBucket: 'files' }
    expect(await api.transfer('move', back)).toMatchObject({ key, bucket: 'files' })
    expect(await head(key, server.bucket)).not.toBeNull()
    await api.remove(key)
  })

  it('replaces an object only on request', async () => {
    const { withD1: api } = context()
    const [from, to] = ['copies/new.txt', 'copies/old.txt']
    await put(from)
    await put(to)
    const exists = { status: 409, code: 'object_exists' }
    for (const kind of ['copy', 'move'])
      expect(await api.refusal('POST', `/files/${kind}`, { from, to })).toEqual(exists)
    expect(await text(to)).toBe(`the text of ${to}`)
    passSecond?.()
    await api.transfer('copy', { from, to, overwrite: true })
    expect(await text(to)).toBe(`the text of ${from}`)
    await api.removeMany([from, to])
  })

  it('refuses a missing source, and one that is too large for the target', async () => {
    const { withD1: api, head } = context()
    const [from, to] = ['copies/large.txt', 'copies/small.txt']
    const refusal = (body: object) => api.refusal('POST', '/files/move', { from, to, ...body })
    expect(await refusal({})).toEqual({ status: 404, code: 'object_not_found' })
    await put(from, 'x'.repeat(SMALL_BYTES + 1))
    expect(await refusal({ toBucket: 'small' })).toEqual({ status: 413, code: 'file_too_large' })
    expect(await head(from)).not.toBeNull()
    await api.remove(from)
  })
}
