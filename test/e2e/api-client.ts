import type * as z from 'zod/mini'
import * as answers from '../../tools/dev/openapi/answers.ts'

/** The response of `POST /files/upload-url`. */
export type Upload = z.infer<typeof answers.uploadUrl>
/** A file as the Worker records it. */
export type FileRecord = z.infer<typeof answers.fileRecord>
/** The response of `POST /multipart`. */
export type Started = z.infer<typeof answers.startedUpload>

/** The status of an error response, and what it says for programs. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly reason?: string
  readonly etag?: string | null
}

type Query = Readonly<Record<string, string>>

/**
 * The Worker's API with only fetch. Each method throws for a response that isn't the documented
 * success.
 */
export interface ApiClient {
  uploadUrl(request: Readonly<Record<string, unknown>>): Promise<Upload>
  confirm(request: Readonly<Record<string, unknown>>): Promise<FileRecord>
  uploadUrls(
    files: readonly Readonly<Record<string, unknown>>[],
  ): Promise<z.infer<typeof answers.uploadUrls>['uploads']>
  rename(key: string, name: string): Promise<FileRecord>
  /** The response of `POST /files/copy` or `POST /files/move` for one file. */
  transfer(kind: 'copy' | 'move', request: Readonly<Record<string, unknown>>): Promise<FileRecord>
  removeMany(
    keys: readonly string[],
    bucket?: string,
  ): Promise<z.infer<typeof answers.deletedFiles>['deleted']>
  url(key: string, query?: Query): Promise<z.infer<typeof answers.fileUrl>>
  record(key: string, query?: Query): Promise<FileRecord>
  list(query?: Query): Promise<readonly FileRecord[]>
  objects(query: Query): Promise<z.infer<typeof answers.objectPage>>
  remove(key: string, query?: Query): Promise<void>
  /** The responses of `POST /files/delete-all`, until nothing is left. */
  deleteAll(prefix: string, before: string): Promise<z.infer<typeof answers.erasure>[]>
  /** The lines of `GET /export`. */
  exported(prefix: string): Promise<unknown[]>
  /** Returns only the link from the response of `POST /files/:key/link`. */
  link(key: string, request?: Readonly<Record<string, unknown>>, query?: Query): Promise<string>
  startMultipart(request: Readonly<Record<string, unknown>>): Promise<Started>
  partUrls(
    uploadId: string,
    request: Readonly<Record<string, unknown>>,
  ): Promise<z.infer<typeof answers.partUrls>['urls']>
  parts(uploadId: string, key: string): Promise<z.infer<typeof answers.partList>['parts']>
  complete(uploadId: string, request: Readonly<Record<string, unknown>>): Promise<FileRecord>
  abort(uploadId: string, key: string): Promise<void>
  /** The response of `GET /s3/params`: a form for one file. */
  form(fileName: string, mimetype?: string, more?: Query): Promise<z.infer<typeof answers.uppyForm>>
  /** The response of `POST /s3/sign`: one request of an S3 client. */
  sign(request: Readonly<Record<string, unknown>>): Promise<z.infer<typeof answers.signedRequest>>
  /** Returns the Worker's error for a request that it must refuse. */
  refusal(method: string, path: string, body?: unknown): Promise<Refusal>
}

/** Returns a client of the Worker at `origin` with an API key. */
export function createApiClient(origin: string, apiKey: string): ApiClient {
  const send = (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(origin + path, {
      method,
      headers: {
        Authorization: `Bearer ${apiKey}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  return {
    uploadUrl: async (request) =>
      answers.uploadUrl.parse(await json(send('POST', '/files/upload-url', request), 200)),
    confirm: async (request) =>
      answers.fileRecord.parse(await json(send('POST', '/files', request), 201)),
    async uploadUrls(files) {
      const body = await json(send('POST', '/files/upload-urls', { files }), 200)
      return answers.uploadUrls.parse(body).uploads
    },
    rename: async (key, name) =>
      answers.fileRecord.parse(await json(send('PATCH', filePath(key), { name }), 200)),
    transfer: async (kind, request) =>
      answers.fileRecord.parse(await json(send('POST', `/files/${kind}`, request), 201)),
    async removeMany(keys, bucket) {
      const body = await json(send('POST', '/files/delete', { keys, bucket }), 200)
      return answers.deletedFiles.parse(body).deleted
    },
    url: async (key, query) =>
      answers.fileUrl.parse(await json(send('GET', `${filePath(key)}/url${search(query)}`), 200)),
    record: async (key, query) =>
      answers.fileRecord.parse(await json(send('GET', filePath(key) + search(query)), 200)),
    list: async (query) =>
      answers.filePage.parse(await json(send('GET', `/files${search(query)}`), 200)).files,
    objects: async (query) =>
      answers.objectPage.parse(await json(send('GET', `/objects${search(query)}`), 200)),
    async deleteAll(prefix, before) {
      const all: z.infer<typeof answers.erasure>[] = []
      let cursor: string | undefined
      do {
        const request = { prefix, before, cursor }
        const body = await json(send('POST', '/files/delete-all', request), 200)
        const answer = answers.erasure.parse(body)
        all.push(answer)
        cursor = answer.cursor
      } while (cursor !== undefined)
      return all
    },
    async exported(prefix) {
      const response = await send('GET', `/export${search({ prefix })}`)
      const lines = (await response.text()).trim().split('\n')
      return lines.map((line) => JSON.parse(line))
    },
    link: async (key, request = {}, query) => {
      const path = `${filePath(key)}/link${search(query)}`
      return answers.link.parse(await json(send('POST', path, request), 200)).link
    },
    startMultipart: async (request) =>
      answers.startedUpload.parse(await json(send('POST', '/multipart', request), 200)),
    partUrls: async (uploadId, request) => {
      const path = `/multipart/${uploadId}/urls`
      return answers.partUrls.parse(await json(send('POST', path, request), 200)).urls
    },
    parts: async (uploadId, key) => {
      const path = `/multipart/${uploadId}${search({ key })}`
      return answers.partList.parse(await json(send('GET', path), 200)).parts
    },
    complete: async (uploadId, request) => {
      const path = `/multipart/${uploadId}/complete`
      return answers.fileRecord.parse(await json(send('POST', path, request), 201))
    },
    abort: (uploadId, key) => gone(send('DELETE', `/multipart/${uploadId}${search({ key })}`)),
    remove: (key, query) => gone(send('DELETE', filePath(key) + search(query))),
    form: async (filename, type, more) => {
      const query = { filename, ...(type === undefined ? {} : { type }), ...more }
      return answers.uppyForm.parse(await json(send('GET', `/s3/params${search(query)}`), 200))
    },
    async sign(request) {
      return answers.signedRequest.parse(await json(send('POST', '/s3/sign', request), 200))
    },
    async refusal(method, path, body) {
      const response = await send(method, path, body)
      const { code, reason, etag } = answers.error.parse(await response.json())
      return {
        status: response.status,
        code,
        ...(reason === undefined ? {} : { reason }),
        ...(etag === undefined ? {} : { etag }),
      }
    },
  }
}

/** Returns the path of one file in the API. */
export const filePath = (key: string): string => `/files/${encodeURIComponent(key)}`

const search = (query: Query = {}): string => `?${new URLSearchParams(query)}`

async function gone(answer: Promise<Response>): Promise<void> {
  const { status } = await answer
  if (status !== 204) throw new Error(`DELETE answered ${status}`)
}

async function json(answer: Promise<Response>, status: number): Promise<unknown> {
  const response = await answer
  const text = await response.text()
  if (response.status !== status) throw new Error(`The Worker answered ${response.status}: ${text}`)
  return JSON.parse(text)
}
