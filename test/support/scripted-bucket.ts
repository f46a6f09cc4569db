import { vi } from 'vitest'

/** The S3 operations that the Worker uses, by method and query. */
export type Operation =
  | 'CreateMultipartUpload'
  | 'ListMultipartUploads'
  | 'ListParts'
  | 'ListObjectsV2'
  | 'ListObjectVersions'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'HeadObject'
  | 'GetObject'
  | 'PutObject'
  | 'DeleteObject'
  | 'DeleteObjects'

/** A request as it was sent. */
export interface Sent {
  readonly operation: Operation
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly body: string
}

export type Answer = (sent: Sent) => Response | Promise<Response>

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST uploads': 'CreateMultipartUpload',
  'GET uploads': 'ListMultipartUploads',
  'GET uploadId': 'ListParts',
  'POST uploadId': 'CompleteMultipartUpload',
  'DELETE uploadId': 'AbortMultipartUpload',
  'HEAD ': 'HeadObject',
  'GET list-type': 'ListObjectsV2',
  'GET versions': 'ListObjectVersions',
  'GET ': 'GetObject',
  'PUT ': 'PutObject',
  'DELETE ': 'DeleteObject',
  'POST delete': 'DeleteObjects',
}

/**
 * Answers each operation as `script` says: always with one response, or with a list of responses in
 * order, whose last one repeats. An operation that the script omits breaks the connection. Use it
 * for what s3rver can't be made to send. Returns the requests; `vi.unstubAllGlobals()` ends it.
 */
export function scriptedBucket(script: Partial<Record<Operation, Answer | Answer[]>>): Sent[] {
  const sent: Sent[] = []
  vi.stubGlobal('fetch', async (input: RequestInfo, init?: RequestInit) => {
    const request = new Request(input, init)
    const url = input instanceof Request ? input.url : input
    const { searchParams } = new URL(url)
    const kind =
      ['uploads', 'uploadId', 'delete', 'list-type', 'versions'].find((name) =>
        searchParams.has(name),
      ) ?? ''
    const operation = OPERATIONS[`${request.method} ${kind}`]
    if (operation === undefined) throw new Error(`${request.method} ${kind} is not scripted.`)
    const earlier = sent.filter((other) => other.operation === operation).length
    const { method, headers } = request
    const one = { operation, method, url, headers, body: await request.text() }
    sent.push(one)
    const answers = [script[operation] ?? []].flat()
    const answer = answers[Math.min(earlier, answers.length - 1)]
    if (answer === undefined) throw new TypeError('Network connection lost.')
    const aborted = new Promise<never>((_, reject) =>
      init?.signal?.addEventListener('abort', () => reject(new Error('aborted'))),
    )
    return Promise.race([answer(one), aborted])
  })
  return sent
}

/** Returns the operations of `sent`, in order. */
export const operations = (sent: readonly Sent[]): Operation[] =>
  sent.map(({ operation }) => operation)

/** A response with this status and body. */
export const answer =
  (status: number, body: string | null = null, headers: Record<string, string> = {}): Answer =>
  () =>
    new Response(body, { status, headers })

/** Never answers. */
export const hanging: Answer = () => new Promise(() => {})

/** Gives an answer after `milliseconds` of the fake clock. */
export const later =
  (milliseconds: number, given: Answer): Answer =>
  async (sent) => {
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
    return given(sent)
  }

/** S3's error document, under any status. */
export const s3Error = (status: number, code: string): Answer =>
  answer(status, `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code></Error>`)

export const started = (uploadId: string): Answer =>
  answer(
    200,
    `<InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`,
  )

/** Returns a page of ListMultipartUploads. */
export const listedUploads = (...uploads: readonly { key: string; id: string }[]): Answer => {
  const list = uploads.map(
    ({ key, id }) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`,
  )
  return answer(
    200,
    `<ListMultipartUploadsResult>${list.join('')}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>`,
  )
}

/** Returns one part as ListParts writes it, with `etag` as in the XML. */
export const partXml = (partNumber: number | string, size: number | string, etag: string): string =>
  `<Part><PartNumber>${partNumber}</PartNumber><LastModified>2026-11-24T12:00:00.000Z</LastModified><ETag>${etag}</ETag><Size>${size}</Size></Part>`

/** Returns one page of ListParts. `next` is the marker of the next page. */
export const listed = (parts: readonly string[], next?: number | string): Answer =>
  answer(
    200,
    `<?xml version="1.0" encoding="UTF-8"?>\n<ListPartsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><MaxParts>1000</MaxParts>${parts.join('')}<IsTruncated>${next !== undefined}</IsTruncated>${next === undefined ? '' : `<NextPartNumberMarker>${next}</NextPartNumberMarker>`}</ListPartsResult>`,
  )

export const completed: Answer = answer(
  200,
  '<CompleteMultipartUploadResult><ETag>&quot;abc-2&quot;</ETag></CompleteMultipartUploadResult>',
)

/** The HeadObject response for an object of `size` bytes. */
export const found = (size: number): Answer =>
  answer(200, null, {
    'Content-Length': String(size),
    'Content-Type': 'video/mp4',
    ETag: '"abc-2"',
    'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
  })
