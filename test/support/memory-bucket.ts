import { vi } from 'vitest'
import { byUtf8 } from '../../src/keys/encodings.ts'

/** An object in the memory of a test. */
export interface StoredObject {
  readonly etag: string
  readonly size: number
  readonly mimetype: string
  /** Milliseconds since 1970. Answers have whole seconds, as in S3. */
  readonly time: number
}

/** One request, before it is answered. */
export interface Asked {
  readonly operation: string
  readonly key: string
  /** The access key id that signed it. */
  readonly by: string
  /** The ETag in If-Match, or null. */
  readonly ifMatch: string | null
}

/** An unfinished upload in parts. */
export interface StoredUpload {
  readonly key: string
  readonly id: string
  readonly time: number
}

/**
 * A bucket in the memory of a test, whose objects may have any date. It lists in the order of UTF-8, and
 * answers HEAD, DELETE and lists of uploads. `before` runs ahead of each answer: it may wait, change the
 * bucket, throw, or return another answer. Other requests break the connection.
 */
export class MemoryBucket {
  readonly objects = new Map<string, StoredObject>()
  uploads: StoredUpload[] = []
  readonly asked: Asked[] = []
  before: (asked: Asked) => Promise<Response | undefined> | Response | undefined = () => undefined
  #etags = 0

  constructor() {
    vi.stubGlobal('fetch', (input: RequestInfo, init?: RequestInit) =>
      this.#answer(new Request(input, init)),
    )
  }

  /** Stores an object, and returns it. */
  put(key: string, time: number, changes: Partial<StoredObject> = {}): StoredObject {
    const etag = `"${(this.#etags++).toString(16).padStart(32, '0')}"`
    const object = { etag, size: 5, mimetype: 'text/plain', time, ...changes }
    this.objects.set(key, object)
    return object
  }

  /** Returns how many requests of an operation there were. */
  count = (operation: string): number =>
    this.asked.filter((asked) => asked.operation === operation).length

  async #answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    const key = decodeURIComponent(pathname.slice(1))
    const kind = ['list-type', 'uploads', 'uploadId'].find((name) => searchParams.has(name)) ?? ''
    const [, by = ''] = /Credential=([^/]+)/.exec(request.headers.get('authorization') ?? '') ?? []
    const ifMatch = request.headers.get('if-match')
    const asked = { operation: `${request.method} ${kind}`.trim(), key, by, ifMatch }
    this.asked.push(asked)
    const other = await this.before(asked)
    if (other !== undefined) return other
    if (kind === 'list-type') return this.#list(searchParams)
    if (kind === 'uploads') return this.#listUploads(searchParams)
    if (kind === 'uploadId') {
      const id = searchParams.get('uploadId')
      this.uploads = this.uploads.filter((upload) => upload.id !== id)
      return new Response(null, { status: 204 })
    }
    if (request.method === 'DELETE') {
      this.objects.delete(key)
      return new Response(null, { status: 204 })
    }
    const object = this.objects.get(key)
    if (object === undefined) return new Response(null, { status: 404 })
    return new Response(null, {
      headers: {
        'Content-Length': String(object.size),
        'Content-Type': object.mimetype,
        ETag: object.etag,
        'Last-Modified': new Date(object.time).toUTCString(),
      },
    })
  }

  #list(query: URLSearchParams): Response {
    const after = query.get('start-after') ?? ''
    const prefix = query.get('prefix') ?? ''
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && byUtf8(key, after) > 0)
      .sort(byUtf8)
    return listOf(
      keys.slice(0, Number(query.get('max-keys'))).flatMap((key) => {
        const object = this.objects.get(key)
        return object === undefined ? [] : [{ key, ...object }]
      }),
      keys.length > Number(query.get('max-keys')),
    )
  }

  #listUploads(query: URLSearchParams): Response {
    const marker = JSON.stringify([query.get('key-marker'), query.get('upload-id-marker')])
    const named = this.uploads.map((upload) => ({
      ...upload,
      place: JSON.stringify([upload.key, upload.id]),
    }))
    const later = named
      .filter(({ place }) => query.get('key-marker') === null || place > marker)
      .sort((one, other) => (one.place < other.place ? -1 : 1))
    const page = later.slice(0, Number(query.get('max-uploads')))
    const last = page.at(-1)
    const more =
      later.length > page.length && last
        ? `<IsTruncated>true</IsTruncated><NextKeyMarker>${encodeURIComponent(last.key)}</NextKeyMarker><NextUploadIdMarker>${last.id}</NextUploadIdMarker>`
        : '<IsTruncated>false</IsTruncated>'
    const list = page.map(
      ({ key, id, time }) =>
        `<Upload><Key>${encodeURIComponent(key)}</Key><UploadId>${id}</UploadId><Initiated>${new Date(time).toISOString()}</Initiated></Upload>`,
    )
    return new Response(
      `<ListMultipartUploadsResult><EncodingType>url</EncodingType>${list.join('')}${more}</ListMultipartUploadsResult>`,
    )
  }
}

/** Returns a page of ListObjectsV2. Dates have milliseconds, unlike those of a HEAD. */
export function listOf(
  objects: readonly (StoredObject & { readonly key: string })[],
  isTruncated = false,
): Response {
  const list = objects.map(
    ({ key, etag, size, time }) =>
      `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${new Date(time).toISOString()}</LastModified><ETag>${etag.replaceAll('"', '&quot;')}</ETag><Size>${size}</Size></Contents>`,
  )
  return new Response(
    `<ListBucketResult><EncodingType>url</EncodingType>${list.join('')}<IsTruncated>${isTruncated}</IsTruncated>${isTruncated ? '<NextContinuationToken>next</NextContinuationToken>' : ''}</ListBucketResult>`,
  )
}
