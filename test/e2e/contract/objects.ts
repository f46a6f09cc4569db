import { PutObjectCommand } from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import type { Capabilities, Context } from './context.ts'
import { KEYS } from './keys.ts'

/** What the Worker lists is what the server has. */
export function objectRules(context: () => Context, { normalizesKeys }: Capabilities): void {
  it('has each kind of key once, in pages, and marks those with a record', async () => {
    const { api, s3, server } = context()
    const keys = KEYS.filter((key) => !normalizesKeys || key === key.normalize('NFC')).map(
      (key) => `listed/${key}`,
    )
    for (const Key of keys)
      await s3.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'hello' }))
    const [recorded = ''] = keys
    await api.confirm({ key: recorded, name: 'a.txt' })

    const found: string[] = []
    let cursor: string | undefined
    do {
      const page = await api.objects({ prefix: 'listed/', limit: '5', ...(cursor && { cursor }) })
      for (const object of page.objects) {
        expect(object).toMatchObject({ size: 5, isRecorded: object.key === recorded })
        expect(object.etag).toMatch(/^"[0-9a-f]{32}"$/)
        found.push(object.key)
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    expect(found.toSorted()).toEqual(keys.toSorted())

    const { objects, folders = [] } = await api.objects({ prefix: 'listed/', delimiter: '/' })
    const parts = keys.map((key) => key.split('/'))
    const below = (isFolder: boolean) =>
      new Set(parts.filter(({ length }) => length > 2 === isFolder).map(([, name]) => name))
    expect(new Set(objects.map(({ key }) => key.slice('listed/'.length)))).toEqual(below(false))
    expect(new Set(folders.map(({ prefix }) => prefix.slice('listed/'.length, -1)))).toEqual(
      below(true),
    )

    await api.removeMany(keys)
  })
}
