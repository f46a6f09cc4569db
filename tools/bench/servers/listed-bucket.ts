/** A bucket of many small photos that answers lists and HeadObject from memory, without signatures. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const UPLOADED_AT = new Date('2026-01-15T10:00:00.000Z')
const ETAG = '"9dd4e461268c8034f5c8564e155c67a6"'
const BYTES = 2_345_678
const HEADERS = {
  'Content-Type': 'image/jpeg',
  'Content-Length': BYTES,
  ETag: ETAG,
  'Last-Modified': UPLOADED_AT.toUTCString(),
}
const NO_UPLOADS =
  '<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>'

export interface ListedBucket extends AsyncDisposable {
  readonly endpoint: string
  /** How often each operation was called. */
  readonly requests: Readonly<Record<string, number>>
}

/** Returns the keys of `count` photos of 1,000 users, in the order of a list. */
const keysOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => {
    const user = String(Math.floor((i * 1000) / count)).padStart(4, '0')
    return `photos/${user}/IMG_${String(i).padStart(8, '0')}.jpg`
  })

/** Starts the bucket, which answers to any name below its endpoint. */
export async function startListedBucket(count: number): Promise<ListedBucket> {
  const keys = keysOf(count)
  const places = new Map(keys.map((key, i) => [key, i]))
  const requests: Record<string, number> = {}
  const server = createServer(({ method, url = '' }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://bucket')
    const key = decodeURIComponent(pathname.split('/').slice(2).join('/'))
    const operation = operationOf(method, key, searchParams)
    requests[operation] = (requests[operation] ?? 0) + 1
    if (operation === 'ListObjectsV2')
      response.end(listOf(keys, searchParams, (at) => places.get(at)))
    else if (operation === 'ListMultipartUploads') response.end(NO_UPLOADS)
    else if (operation === 'HeadObject' && places.has(key)) response.writeHead(200, HEADERS).end()
    else response.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  server.keepAliveTimeout = 0
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function operationOf(method: string | undefined, key: string, query: URLSearchParams): string {
  if (key !== '') return method === 'HEAD' ? 'HeadObject' : `${method} of an object`
  if (query.has('uploads')) return 'ListMultipartUploads'
  return query.has('list-type') ? 'ListObjectsV2' : `${method} of the bucket`
}

/** Answers ListObjectsV2. Its tokens are keys. */
function listOf(
  keys: readonly string[],
  query: URLSearchParams,
  placeOf: (key: string) => number | undefined,
): string {
  const limit = Math.min(1000, Number(query.get('max-keys') ?? 1000))
  const after = query.get('continuation-token') ?? query.get('start-after') ?? ''
  const prefix = query.get('prefix') ?? ''
  const known = placeOf(after)
  const start = known === undefined ? keys.findIndex((key) => key > after) : known + 1
  const below = keys
    .slice(start === -1 ? keys.length : start, start + limit + 1)
    .filter((key) => key.startsWith(prefix))
  const page = below.slice(0, limit)
  const contents = page.map(
    (key) =>
      `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${UPLOADED_AT.toISOString()}</LastModified><ETag>${ETAG.replaceAll('"', '&quot;')}</ETag><Size>${BYTES}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  )
  const next = below.length > limit ? page.at(-1) : undefined
  return `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType><KeyCount>${page.length}</KeyCount><IsTruncated>${next !== undefined}</IsTruncated>${next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`}${contents.join('')}</ListBucketResult>`
}
