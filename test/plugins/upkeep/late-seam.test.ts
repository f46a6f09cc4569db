import { createExecutionContext } from 'cloudflare:test'
import { afterEach, expect, it, vi } from 'vitest'
import { createPresigner, defineSettings } from '../../../src/index.ts'
import { files } from '../../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { type UpkeepInput, upkeep } from '../../../src/plugins/upkeep/index.ts'
import { ANN } from '../../support/ann.ts'
import { ORIGIN } from '../../support/app.ts'
import { listedBuckets } from '../../support/listed-bucket.ts'
import { bucketAt, newKey, recordOf } from '../../support/upkeep.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

const KEY = newKey('a.png')

/** Returns the status of a confirm, of an upload that the walk has recorded under the alias "b". */
async function confirmIn(settings: UpkeepInput): Promise<number> {
  listedBuckets({ one: { [KEY]: {} } })
  const index = memoryFileIndex()
  await index.put(recordOf(KEY, { bucket: 'b', owner: null, status: 'unconfirmed' }))
  const records = files({ index: () => index })
  const buckets = { a: bucketAt('one'), b: bucketAt('one') }
  const presigner = createPresigner(
    defineSettings({ buckets, signingSecrets: 'k1:0123456789abcdef0123456789abcdef' }),
    {
      plugins: [records, upkeep({ files: records, settings })],
      authenticate: () => ANN,
      log: () => undefined,
    },
  )
  const request = new Request(`${ORIGIN}/files`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ key: KEY, bucket: 'a' }),
  })
  return (await presigner.fetch(request, {}, createExecutionContext())).status
}

it('refuses to confirm an upload that may expire at any time, under each alias of its bucket', async () => {
  expect(await confirmIn({ mode: 'expire', expireUnconfirmed: 10 })).toBe(404)
})

it('accepts it where nothing expires, and before that time', async () => {
  expect(await confirmIn({ mode: 'record' })).toBe(201)
  expect(await confirmIn({ mode: 'expire', expireUnconfirmed: 3650 })).toBe(201)
})
