import { describe, expect, it } from 'vitest'
import { uppyRefusal } from '../support/uppy.ts'
import { testWorker } from '../support/worker.ts'

const worker = testWorker()
const file = { fileName: 'a.txt', mimetype: 'text/plain' }

/** JSON.parse creates a member called `__proto__`, which an object literal would not. */
const metadataWith = (name: string): Record<string, string> => JSON.parse(`{"${name}":"x","a":"b"}`)

/** Each request that has metadata as JSON. */
const STRICT: Readonly<Record<string, (metadata: object) => Promise<Response>>> = {
  'POST /files/upload-url': (metadata) => worker.post('/files/upload-url', { ...file, metadata }),
  'POST /multipart': (metadata) => worker.post('/multipart', { ...file, metadata }),
  'POST /s3/sign, PUT': (metadata) =>
    worker.post('/s3/sign', { method: 'PUT', key: 'a', metadata }),
  'POST /s3/sign, POST': (metadata) =>
    worker.post('/s3/sign', { method: 'POST', key: 'a', metadata }),
}

/** Companion's requests, which leave out metadata that S3 can't store. */
const LENIENT: Readonly<Record<string, (name: string) => Promise<Response>>> = {
  'GET /s3/params': (name) =>
    worker.fetch(
      `/s3/params?${new URLSearchParams({ filename: 'a', [`metadata[${name}]`]: 'x' })}`,
    ),
  'POST /s3/multipart': (name) =>
    worker.post('/s3/multipart', { filename: 'a', metadata: metadataWith(name) }),
}

const RESERVED = ['edge-presigner-upload', '__proto__']

describe('a reserved name in metadata', () => {
  // @threat chosen-upload-confused
  it('is refused by name in every body', async () => {
    for (const [route, ask] of Object.entries(STRICT)) {
      for (const name of RESERVED) {
        const response = await ask(metadataWith(name))
        const issue = { path: `metadata.${name}`, message: 'is a reserved name' }
        expect.soft(response.status, `${route}, ${name}`).toBe(400)
        expect
          .soft(await response.json(), `${route}, ${name}`)
          .toMatchObject({ code: 'invalid_request', issues: [issue] })
      }
      expect.soft((await ask({ a: 'b' })).status, route).toBe(200)
    }
  })

  it('refuses only its own file of many', async () => {
    const files = [{ ...file, metadata: metadataWith('__proto__') }, file]
    const response = await worker.post('/files/upload-urls', { files })
    expect(await response.json()).toMatchObject({
      uploads: [
        {
          error: {
            code: 'invalid_request',
            issues: [{ path: 'metadata.__proto__', message: 'is a reserved name' }],
          },
        },
        { key: expect.any(String) },
      ],
    })
  })

  // @threat chosen-upload-confused
  it("is refused in Companion's requests, in every case, and with _ as some servers read -", async () => {
    for (const [route, ask] of Object.entries(LENIENT))
      for (const name of [
        ...RESERVED,
        'Edge-Presigner-Upload',
        'edge_presigner-upload',
        '__PROTO__',
      ])
        expect
          .soft(await uppyRefusal(await ask(name)), `${route}, ${name}`)
          .toBe(`400 s3: metadata.${name} is a reserved name`)
  })
})
