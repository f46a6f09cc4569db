import { createClient } from '../src/index.ts'
import { useFiles, useUpload } from '../src/react.ts'
import type { FileOptions } from '../src/requests.ts'
import { createServerClient } from '../src/server.ts'
import { withSharing } from '../src/sharing.ts'

// Compiled but never run: what the API or the client would refuse doesn't compile.

const client = withSharing(createClient({ baseUrl: '' }))
const server = createServerClient({ baseUrl: '' })
const file = new File([], 'a.png')
const etag = '"e"'

client.upload(file, { directory: 'a', metadata: { by: 'ann' }, multipart: true })
client.upload(file, { key: 'a.png', fileName: 'b.png', overwrite: true, sha256: true })
client.start(file, { key: 'a.png', overwrite: true, ifMatch: etag, onProgress: () => {} })
// @ts-expect-error: a chosen key has its own folder
client.upload(file, { key: 'a.png', directory: 'b' })
// @ts-expect-error: only a chosen key can have an object
client.upload(file, { overwrite: true })
// @ts-expect-error: ifMatch needs key and overwrite
client.upload(file, { ifMatch: etag })
// @ts-expect-error: ifMatch needs overwrite
client.upload(file, { key: 'a.png', ifMatch: etag })
// @ts-expect-error: a file in parts has no SHA-256
client.upload(file, { multipart: true, sha256: true })

server.upload('a.png', { key: 'a.png', overwrite: true, ifMatch: etag, partSize: 5_242_880 })
// @ts-expect-error: ifMatch needs overwrite
server.upload('a.png', { key: 'a.png', ifMatch: etag })
// @ts-expect-error: only a chosen key can have an object
server.upload('a.png', { overwrite: true })
server.uploadUrls([
  { fileName: 'a.png', mimetype: 'image/png', directory: 'a' },
  { key: 'a.png', mimetype: 'image/png', overwrite: true, ifMatch: etag },
])
// @ts-expect-error: neither a name nor a key
server.uploadUrls([{ mimetype: 'image/png' }])
// @ts-expect-error: a name and a key
server.uploadUrls([{ mimetype: 'image/png', fileName: 'a.png', key: 'a.png' }])
// @ts-expect-error: ifMatch needs overwrite
server.uploadUrls([{ mimetype: 'image/png', key: 'a.png', ifMatch: etag }])

client.list({ delimiter: '/', prefix: 'a/', sort: 'name', limit: 10 })
client.list({ q: 'cat', type: 'image/*', cursor: 'c' })

client.link('a.png', { widths: [320, 640], format: 'webp', fallback: 'original', download: 'a' })
client.links(['a.png'], { delivery: 'redirect', expiresIn: 60 })
client.folderLink('a/', { countries: ['DE'], notBefore: '2026-12-24T18:00:00Z' })
// @ts-expect-error: one width or several
client.link('a.png', { width: 320, widths: [320, 640] })
// @ts-expect-error: only a resized image has a format
client.link('a.png', { format: 'webp' })
// @ts-expect-error: only a resized image has a fallback
client.links(['a.png'], { fallback: 'original' })
// @ts-expect-error: the bucket doesn't resize
client.link('a.png', { delivery: 'redirect', width: 320 })
// @ts-expect-error: the bucket doesn't know who may open it
client.links(['a.png'], { delivery: 'redirect', ips: ['192.0.2.0/24'] })

const deadline = '2026-12-24T18:00:00Z'
client.createGrant('a.png', { deadline, password: 'secret words' })
client.createGrant('a.png', { deadline, direct: true, restrictions: { notCountries: ['FR'] } })
// @ts-expect-error: only the page asks for a password
client.createGrant('a.png', { deadline, direct: true, password: 'secret words' })

export function Component({ q, width }: Given): void {
  useFiles({ delimiter: q ? undefined : '/', q, links: { width } })
  useUpload({ fileOptions: { directory: 'a' } }).add([file], { multipart: true })
  // @ts-expect-error: ifMatch needs key and overwrite
  useUpload({ fileOptions: () => ({ ifMatch: etag }) })
  // @ts-expect-error: a chosen key has its own folder
  useUpload().add([file], { key: 'a.png', directory: 'b' })
  useFiles({ delimiter: '/', links: { widths: [320] } })
}

interface Given {
  readonly key?: string
  readonly etag?: string
  readonly width?: number
  readonly delivery?: 'stream' | 'redirect'
  readonly q?: string
  readonly countries?: readonly string[]
  readonly notCountries?: readonly string[]
}

/** What an app passes through compiles, whatever it may be. */
export function pass({ key, etag, width, delivery, q, ...lists }: Given, own: FileOptions): void {
  const options = { key: 'a.png', overwrite: etag !== undefined, ifMatch: etag }
  client.upload(file, own)
  client.upload(file, { ...own, onProgress: () => {} })
  client.upload(file, { key })
  client.upload(file, options)
  client.upload(file, { key: 'a.png', ...(etag ? { overwrite: true, ifMatch: etag } : {}) })
  server.upload('a.png', { key })
  client.list({ delimiter: q ? undefined : '/', q: q || undefined })
  client.link('a.png', { width })
  client.link('a.png', { delivery })
  client.link('a.png', { widths: [320, 640] as const })
  client.folderLink('a/', lists)
}
