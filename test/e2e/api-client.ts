import * as z from 'zod/mini'

const uploadSchema = z.object({
  uploadUrl: z.url(),
  key: z.string(),
  bucket: z.string(),
  method: z.literal('PUT'),
  headers: z.record(z.string(), z.string()),
  expiresIn: z.int(),
  expiresAt: z.iso.datetime(),
})

const downloadSchema = z.object({
  url: z.url(),
  key: z.string(),
  bucket: z.string(),
  expiresIn: z.int(),
  expiresAt: z.iso.datetime(),
})

const recordSchema = z.object({
  key: z.string(),
  bucket: z.string(),
  name: z.string(),
  size: z.int(),
  mimetype: z.string(),
  etag: z.string(),
  owner: z.nullable(z.string()),
  createdAt: z.iso.datetime(),
})

const listSchema = z.object({ files: z.array(recordSchema), cursor: z.optional(z.string()) })

const errorSchema = z.object({ code: z.string(), message: z.string(), requestId: z.string() })

/** Answer of `POST /files/upload-url`. */
export type Upload = z.infer<typeof uploadSchema>
/** Answer of `GET /files/:key/url`. */
export type Download = z.infer<typeof downloadSchema>
/** A file as the Worker records it. */
export type FileRecord = z.infer<typeof recordSchema>

/** Status and `code` of an answer that is an error. */
export interface Refusal {
  readonly status: number
  readonly code: string
}

const startedSchema = z.object({
  key: z.string(),
  bucket: z.string(),
  uploadId: z.string(),
  partSize: z.int(),
  partCount: z.int(),
  expiresAt: z.iso.datetime(),
})

const partUrlsSchema = z.object({
  urls: z.array(z.object({ partNumber: z.int(), url: z.url() })),
  expiresIn: z.int(),
  expiresAt: z.iso.datetime(),
})

const partsSchema = z.object({
  parts: z.array(z.object({ partNumber: z.int(), size: z.int(), etag: z.string() })),
})

/** Answer of `POST /multipart`. */
export type Started = z.infer<typeof startedSchema>

const linkSchema = z.object({ link: z.url(), expiresAt: z.iso.datetime() })

type Query = Readonly<Record<string, string>>

/** The Worker's API, spoken with nothing but fetch. Each method throws for an answer that isn't the documented success. */
export interface ApiClient {
  uploadUrl(request: Readonly<Record<string, unknown>>): Promise<Upload>
  confirm(request: Readonly<Record<string, unknown>>): Promise<FileRecord>
  url(key: string, query?: Query): Promise<Download>
  record(key: string, query?: Query): Promise<FileRecord>
  list(query?: Query): Promise<readonly FileRecord[]>
  remove(key: string, query?: Query): Promise<void>
  /** Answer of `POST /files/:key/link`: the link alone. */
  link(key: string, request?: Readonly<Record<string, unknown>>, query?: Query): Promise<string>
  startMultipart(request: Readonly<Record<string, unknown>>): Promise<Started>
  partUrls(
    uploadId: string,
    request: Readonly<Record<string, unknown>>,
  ): Promise<z.infer<typeof partUrlsSchema>['urls']>
  parts(uploadId: string, key: string): Promise<z.infer<typeof partsSchema>['parts']>
  complete(uploadId: string, request: Readonly<Record<string, unknown>>): Promise<FileRecord>
  abort(uploadId: string, key: string): Promise<void>
  /** What the Worker says to a request that it must refuse. */
  refusal(method: string, path: string, body?: unknown): Promise<Refusal>
}

/** A client of the Worker at `origin` with an API key. */
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
      uploadSchema.parse(await json(send('POST', '/files/upload-url', request), 200)),
    confirm: async (request) =>
      recordSchema.parse(await json(send('POST', '/files', request), 201)),
    url: async (key, query) =>
      downloadSchema.parse(await json(send('GET', `${filePath(key)}/url${search(query)}`), 200)),
    record: async (key, query) =>
      recordSchema.parse(await json(send('GET', filePath(key) + search(query)), 200)),
    list: async (query) =>
      listSchema.parse(await json(send('GET', `/files${search(query)}`), 200)).files,
    link: async (key, request = {}, query) => {
      const path = `${filePath(key)}/link${search(query)}`
      return linkSchema.parse(await json(send('POST', path, request), 200)).link
    },
    startMultipart: async (request) =>
      startedSchema.parse(await json(send('POST', '/multipart', request), 200)),
    partUrls: async (uploadId, request) => {
      const path = `/multipart/${uploadId}/urls`
      return partUrlsSchema.parse(await json(send('POST', path, request), 200)).urls
    },
    parts: async (uploadId, key) => {
      const path = `/multipart/${uploadId}${search({ key })}`
      return partsSchema.parse(await json(send('GET', path), 200)).parts
    },
    complete: async (uploadId, request) => {
      const path = `/multipart/${uploadId}/complete`
      return recordSchema.parse(await json(send('POST', path, request), 201))
    },
    abort: (uploadId, key) => gone(send('DELETE', `/multipart/${uploadId}${search({ key })}`)),
    remove: (key, query) => gone(send('DELETE', filePath(key) + search(query))),
    async refusal(method, path, body) {
      const response = await send(method, path, body)
      return { status: response.status, code: errorSchema.parse(await response.json()).code }
    },
  }
}

/** Path of one file in the API. */
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
