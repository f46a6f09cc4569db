import { PutObjectCommand } from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import type { Capabilities, Context } from './context.ts'
import { KEYS } from './keys.ts'

/** What is below a prefix is gone, whatever the keys have. */
export function erasureRules(context: () => Context, { normalizesKeys }: Capabilities): void {
  it('exports and deletes everything below a prefix, with each kind of key', async () => {
    const { api, s3, server, head } = context()
    const keys = KEYS.filter((key) => !normalizesKeys || key === key.normalize('NFC')).map(
      (key) => `erased/alice/${key}`,
    )
    const other = 'erased/alice2/a.txt'
    for (const Key of [...keys, other])
      await s3.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'hello' }))
    const [recorded = ''] = keys
    await api.confirm({ key: recorded, name: 'a.txt' })
    expect(await api.exported('erased/alice/')).toEqual([
      expect.objectContaining({ key: recorded }),
      { records: 1 },
    ])

    const before = new Date(Date.now() + 60_000).toISOString()
    const answers = await api.deleteAll('erased/alice/', before)
    expect(answers.flatMap(({ failures }) => failures)).toEqual([])
    expect(answers.reduce((sum, { deleted }) => sum + deleted, 0)).toBe(keys.length)
    expect((await api.objects({ prefix: 'erased/alice/' })).objects).toEqual([])
    expect(await api.exported('erased/alice/')).toEqual([{ records: 0 }])
    expect(await head(other)).not.toBeNull()
  })

  it('leaves what is not older than the date', async () => {
    const { api, s3, server, head } = context()
    const Key = 'erased/bob/a.txt'
    await s3.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'hello' }))
    const before = new Date(Date.now() - 3_600_000).toISOString()
    expect(await api.deleteAll('erased/bob/', before)).toMatchObject([{ deleted: 0 }])
    expect(await head(Key)).not.toBeNull()
  })
}
