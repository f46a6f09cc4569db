import { answer, type Sent, scriptedBucket } from './scripted-bucket.ts'

/** An object of a bucket that answers by script. */
export interface ListedObject {
  readonly etag?: string
  /** ISO 8601. Default: long ago. */
  readonly lastModified?: string
}

/** Objects by the bucket's name and their key. A bucket that is missing answers 500. */
export type ListedBuckets = Record<string, Record<string, ListedObject>>

export const ETAG = '"9dd4e461268c8034f5c8564e155c67a6"'
export const LONG_AGO = '2026-01-01T00:00:00.000Z'

const escaped = (text: string) => text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`)

const byBytes = (a: string, b: string) => {
  const [x, y] = [new TextEncoder().encode(a), new TextEncoder().encode(b)]
  for (let i = 0; i < Math.min(x.length, y.length); i++)
    if (x[i] !== y[i]) return (x[i] ?? 0) - (y[i] ?? 0)
  return x.length - y.length
}

/**
 * Answers lists, HEADs and deletes of path-style buckets at `https://s3.example`, as they are at that time.
 * Lists of unfinished uploads are empty. Returns the requests.
 */
export function listedBuckets(buckets: ListedBuckets): Sent[] {
  const at = ({ url }: Sent) => {
    const { hostname, pathname, searchParams } = new URL(url)
    const [, virtual] = /^(\w+)\.s3\.example$/.exec(hostname) ?? []
    const segments = pathname.split('/').slice(1)
    const [name = '', ...rest] = virtual === undefined ? segments : [virtual, ...segments]
    return { objects: buckets[name], key: decodeURIComponent(rest.join('/')), searchParams }
  }
  const broken = answer(500)
  return scriptedBucket({
    ListObjectsV2(sent) {
      const { objects, searchParams } = at(sent)
      if (objects === undefined) return broken(sent)
      const after = searchParams.get('continuation-token') ?? searchParams.get('start-after') ?? ''
      const prefix = searchParams.get('prefix') ?? ''
      const max = Number(searchParams.get('max-keys') ?? 1000)
      const keys = Object.keys(objects)
        .filter((key) => key.startsWith(prefix) && byBytes(key, after) > 0)
        .toSorted(byBytes)
      const page = keys.slice(0, max)
      const contents = page.map((key) => {
        const { etag = ETAG, lastModified = LONG_AGO } = objects[key] ?? {}
        const written = searchParams.has('encoding-type') ? encodeURIComponent(key) : key
        return `<Contents><Key>${escaped(written)}</Key><LastModified>${lastModified}</LastModified><ETag>${escaped(etag)}</ETag><Size>6</Size></Contents>`
      })
      const isTruncated = keys.length > page.length
      const next = isTruncated
        ? `<NextContinuationToken>${escaped(page.at(-1) ?? '')}</NextContinuationToken>`
        : ''
      const encoding = searchParams.has('encoding-type') ? '<EncodingType>url</EncodingType>' : ''
      return new Response(
        `<ListBucketResult>${encoding}<IsTruncated>${isTruncated}</IsTruncated><KeyCount>${page.length}</KeyCount>${next}${contents.join('')}</ListBucketResult>`,
      )
    },
    ListMultipartUploads: answer(
      200,
      '<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>',
    ),
    HeadObject(sent) {
      const { objects, key } = at(sent)
      if (objects === undefined) return broken(sent)
      const object = objects[key]
      if (object === undefined) return new Response(null, { status: 404 })
      const { etag = ETAG, lastModified = LONG_AGO } = object
      return new Response(null, {
        headers: {
          ...{ 'Content-Length': '6', 'Content-Type': 'image/png', ETag: etag },
          'Last-Modified': new Date(lastModified).toUTCString(),
        },
      })
    },
    DeleteObject(sent) {
      const { objects, key } = at(sent)
      delete objects?.[key]
      return new Response(null, { status: 204 })
    },
  })
}
