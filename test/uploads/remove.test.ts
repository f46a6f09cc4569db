import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { findBucket } from '../../src/bucket/find-bucket.ts'
import { loadEnvironment } from '../../src/cloudflare/environment.ts'
import { kvFileIndex } from '../../src/cloudflare/kv-file-index.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { recordUpload } from '../../src/uploads/record.ts'
import { removeFiles } from '../../src/uploads/remove.ts'
import { putChosen, putUnder } from '../support/links.ts'

const loaded = loadEnvironment(env)
if (!loaded.ok) throw new Error('The test configuration is malformed.')
const bucket = findBucket(loaded.settings, 'files')
const index = kvFileIndex(env.FILE_INDEX)

/** Deletes a recorded file, and runs `meanwhile` between its object and its record. */
async function remove(meanwhile: (key: string) => Promise<unknown>) {
  const key = parseObjectKey(await putChosen('avatar.png', 'first'))
  const record = () =>
    recordUpload(bucket, index, { key, name: 'avatar.png', owner: 'key:ann' }, new Date(), null)
  await record()
  const told: string[] = []
  const failures = await removeFiles(
    bucket,
    [key],
    {
      index,
      purge: async () => void (await meanwhile(key)),
      tell: async (one) => void told.push(one),
    },
    new Date(),
  )
  return { key, record, told, failures, kept: await index.get('files', key) }
}

it('removes the record of a chosen key', async () => {
  const { key, told, failures, kept } = await remove(async () => {})
  expect([kept, told, failures.size]).toEqual([null, [key], 0])
})

it('leaves the record of an upload to a chosen key that comes meanwhile', async () => {
  const { told, failures, kept } = await remove(async (text) => {
    const key = parseObjectKey(text)
    await putUnder(text, 'second')
    const request = { key, name: 'avatar.png', owner: 'key:ben' }
    await recordUpload(bucket, index, request, new Date(), null)
  })
  expect([kept?.owner, kept?.size, told, failures.size]).toEqual(['key:ben', 6, [], 0])
})

it('removes a new record whose object is gone again', async () => {
  const { kept } = await remove(async (text) => {
    const key = parseObjectKey(text)
    const known = await index.get('files', key)
    if (known !== null) await index.put({ ...known, createdAt: new Date().toISOString() })
  })
  expect(kept).toBeNull()
})
