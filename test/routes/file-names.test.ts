import { describe, expect, it } from 'vitest'
import { putUnder } from '../support/links.ts'
import { beginUpload } from '../support/uppy.ts'
import { testWorker } from '../support/worker.ts'

const worker = testWorker()
const BAD = [
  ' ',
  '\u3164',
  'a\nb',
  'a\r\nb.txt',
  'a\tb',
  '\u2028',
  'photo\u202egpj.exe',
  'a\u2066b',
]

const codeOf = async (response: Response): Promise<string> => {
  const { code }: { code?: string } = await response.json()
  return `${response.status} ${code}`
}

const newKey = (name: string) => `names/${crypto.randomUUID()}/${name}`

/** The requests that name a file. */
const NAMING: Readonly<Record<string, (name: string) => Promise<Response>>> = {
  'POST /files/upload-url': (fileName) =>
    worker.post('/files/upload-url', { fileName, mimetype: 'text/plain' }),
  'POST /multipart': (fileName) => worker.post('/multipart', { fileName, mimetype: 'text/plain' }),
  'POST /files': async (name) =>
    worker.post('/files', { key: await putUnder(newKey('a.txt'), 'text'), name }),
  'PATCH /files/:key': async (name) => {
    const key = await putUnder(newKey('a.txt'), 'text')
    expect((await worker.post('/files', { key, name: 'a' })).status).toBe(201)
    return worker.fetch(`/files/${encodeURIComponent(key)}`, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name }),
    })
  },
  'POST /multipart/:uploadId/complete': async (name) => {
    const started = await worker.post('/multipart', { fileName: 'a', mimetype: 'text/plain' })
    const { key, uploadId }: { key: string; uploadId: string } = await started.json()
    const parts = [{ partNumber: 1, etag: '"a"' }]
    return worker.post(`/multipart/${encodeURIComponent(uploadId)}/complete`, { key, name, parts })
  },
  'GET /s3/params': (filename) => worker.fetch(`/s3/params?${new URLSearchParams({ filename })}`),
  'POST /s3/multipart': (filename) => worker.post('/s3/multipart', { filename }),
  'POST /s3/sign, a PUT': (fileName) =>
    worker.post('/s3/sign', { method: 'PUT', key: 'a', fileName }),
  'POST /s3/sign, a POST': (fileName) =>
    worker.post('/s3/sign', { method: 'POST', key: 'a', fileName }),
  'POST /s3/sign, only with a key': (key) => worker.post('/s3/sign', { method: 'PUT', key }),
}

describe.each(Object.entries(NAMING))('%s', (_, request) => {
  // @threat name-hidden
  it.each(BAD)('refuses the name %j', async (name) => {
    expect(await codeOf(await request(name))).toBe('400 invalid_name')
  })
})

it('POST /files/upload-urls refuses only the files with such names', async () => {
  const files = [...BAD, 'a.txt'].map((fileName) => ({ fileName, mimetype: 'text/plain' }))
  const response = await worker.post('/files/upload-urls', { files })
  const { uploads }: { uploads: { error?: { code: string } }[] } = await response.json()
  expect(uploads.map(({ error }) => error?.code)).toEqual([
    ...BAD.map(() => 'invalid_name'),
    undefined,
  ])
})

describe('a key that has no good name at its end', () => {
  const KEYS = [
    ['photo\u202egpj.exe', 'photo_gpj.exe'],
    ['a\u2028b', 'a_b'],
  ] as const

  // @threat name-hidden
  it.each(KEYS)('%j is recorded, and shown without a record, as %j', async (end, name) => {
    const key = await putUnder(newKey(end), 'text')
    const named = async (response: Promise<Response>) => {
      const record: { name: string } = await (await response).json()
      return record.name
    }
    expect(await named(worker.fetch(`/files/${encodeURIComponent(key)}`))).toBe(name)
    expect(await named(worker.post('/files', { key }))).toBe(name)
  })

  it.each([...KEYS.map(([end]) => end), '\u3000'])('%j can be chosen', async (end) => {
    const upload = { key: newKey(end), mimetype: 'text/plain' }
    for (const path of ['/files/upload-url', '/multipart'])
      expect((await worker.post(path, upload)).status, path).toBe(200)
  })

  it('can be the key of an upload in parts that Uppy continues', async () => {
    const objectKey = newKey('\u3000')
    const { key, uploadId } = await beginUpload(worker, { objectKey })
    expect(key).toBe(objectKey)
    const part = { method: 'PUT', key, uploadId, partNumber: 1 }
    expect((await worker.post('/s3/sign', part)).status).toBe(200)
  })
})
