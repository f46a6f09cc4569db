import { vi } from 'vitest'
import { escapeXml } from '../../src/storage/xml.ts'

export interface StoredVersion {
  readonly key: string
  readonly versionId: string
  readonly isMarker: boolean
  readonly lastModified: Date
}

/**
 * A bucket in memory with versions and unfinished uploads, with S3's order and pages. It offers what no
 * available server has together: versions with dates, refusals and lists of uploads. `vi.unstubAllGlobals()`
 * ends it.
 */
export class VersionedBucket {
  /** The newest version of a key is the last one. */
  versions: StoredVersion[] = []
  uploads: { readonly key: string; readonly id: string; readonly initiated: Date }[] = []
  isVersioned: boolean
  /** Operations that the server lacks. */
  readonly lacks = new Set<string>()
  /** Keys whose old versions are locked. */
  readonly locked = new Set<string>()
  /** The requests since the start. */
  readonly sent: string[] = []
  /** The access key of the last request of each operation. */
  readonly accessKeys = new Map<string, string>()
  /** Where webhooks go. They count as requests. */
  hooks = ''
  now = new Date()
  /** Uploads on a page at most. */
  maxUploads = 1000
  #id = 0

  constructor(isVersioned = true) {
    this.isVersioned = isVersioned
    vi.stubGlobal('fetch', async (input: RequestInfo, init?: RequestInit) => {
      const request = new Request(input, init)
      return this.#answer(request, new URL(input instanceof Request ? input.url : input))
    })
  }

  /** Stores an object as of `lastModified`. */
  put(key: string, lastModified: Date): void {
    this.#add(key, lastModified, false)
  }

  /** Adds a delete marker. */
  delete(key: string, at: Date): void {
    this.#add(key, at, true)
  }

  /** The keys that a list of objects shows. */
  get keys(): string[] {
    return this.#latest().map(({ key }) => key)
  }

  #add(key: string, lastModified: Date, isMarker: boolean): void {
    if (!this.isVersioned) this.versions = this.versions.filter((one) => one.key !== key)
    this.#id += 1
    const versionId = this.isVersioned ? `v${this.#id}` : 'null'
    this.versions.push({ key, versionId, isMarker, lastModified })
  }

  #latestOf(key: string): StoredVersion | undefined {
    return this.versions.findLast((one) => one.key === key)
  }

  #latest(): StoredVersion[] {
    return this.versions
      .filter((one) => !one.isMarker && this.#latestOf(one.key) === one)
      .sort((a, b) => order(a.key, b.key))
  }

  /** Returns S3's error code, or null. */
  #delete(key: string, versionId: string | null): string | null {
    if (versionId === null && this.isVersioned) {
      this.#add(key, this.now, true)
      return null
    }
    if (versionId !== null && this.locked.has(key)) return 'AccessDenied'
    this.versions = this.versions.filter(
      (one) => one.key !== key || (versionId !== null && one.versionId !== versionId),
    )
    return null
  }

  async #answer(request: Request, url: URL): Promise<Response> {
    const { method } = request
    if (this.hooks !== '' && url.href.startsWith(this.hooks)) {
      this.sent.push('webhook')
      return new Response(null, { status: 204 })
    }
    const query = url.searchParams
    const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'))
    const kind = ['uploads', 'uploadId', 'delete', 'list-type', 'versions'].find((name) =>
      query.has(name),
    )
    const operation = `${method} ${kind ?? ''}`.trim()
    this.sent.push(operation)
    const [, accessKey = ''] =
      /Credential=([^/]+)/.exec(request.headers.get('authorization') ?? '') ?? []
    this.accessKeys.set(operation, accessKey)
    if (this.lacks.has(operation)) return errorOf(501, 'NotImplemented')
    switch (operation) {
      case 'GET list-type':
        return this.#list(query)
      case 'GET versions':
        return this.#listVersions(query)
      case 'GET uploads':
        return this.#listUploads(query)
      case 'DELETE uploadId':
        this.uploads = this.uploads.filter(({ id }) => id !== query.get('uploadId'))
        return new Response(null, { status: 204 })
      case 'DELETE': {
        const code = this.#delete(key, query.get('versionId'))
        return code === null ? new Response(null, { status: 204 }) : errorOf(403, code)
      }
      case 'POST delete':
        return this.#deleteMany(await request.text())
      case 'HEAD': {
        const found = this.#latestOf(key)
        if (found === undefined || found.isMarker) return new Response(null, { status: 404 })
        return new Response(null, {
          headers: {
            'Content-Length': '5',
            'Content-Type': 'text/plain',
            ETag: '"e"',
            'Last-Modified': found.lastModified.toUTCString(),
          },
        })
      }
      default:
        throw new Error(`${operation} is not answered here.`)
    }
  }

  #list(query: URLSearchParams): Response {
    const after = query.get('continuation-token') ?? query.get('start-after') ?? ''
    const matching = this.#latest().filter(
      ({ key }) => key.startsWith(query.get('prefix') ?? '') && order(key, after) > 0,
    )
    const page = matching.slice(0, Number(query.get('max-keys')))
    const entries = page.map(
      ({ key, lastModified }) =>
        `<Contents><Key>${encode(key)}</Key><LastModified>${lastModified.toISOString()}</LastModified><ETag>"e"</ETag><Size>5</Size></Contents>`,
    )
    const next = `<NextContinuationToken>${escapeXml(page.at(-1)?.key ?? '')}</NextContinuationToken>`
    return pageOf('ListBucketResult', entries, page.length < matching.length ? next : null)
  }

  #listVersions(query: URLSearchParams): Response {
    const [key, id] = [query.get('key-marker'), query.get('version-id-marker')]
    const all = this.versions
      .map((one, age) => ({ ...one, age, isLatest: this.#latestOf(one.key) === one }))
      .sort((a, b) => order(a.key, b.key) || b.age - a.age)
      .filter((one) => one.key.startsWith(query.get('prefix') ?? ''))
    // Like moto, it doesn't find the place of a version that is gone.
    const place = all.findIndex((one) => one.key === key && one.versionId === id)
    const rest = key === null ? all : place === -1 ? [] : all.slice(place + 1)
    const page = rest.slice(0, Number(query.get('max-keys')))
    const entries = page.map((one) => {
      const name = one.isMarker ? 'DeleteMarker' : 'Version'
      return `<${name}><Key>${encode(one.key)}</Key><VersionId>${one.versionId}</VersionId><IsLatest>${one.isLatest}</IsLatest><LastModified>${one.lastModified.toISOString()}</LastModified></${name}>`
    })
    const last = page.at(-1)
    const next = `<NextKeyMarker>${encode(last?.key ?? '')}</NextKeyMarker><NextVersionIdMarker>${last?.versionId}</NextVersionIdMarker>`
    return pageOf('ListVersionsResult', entries, page.length < rest.length ? next : null)
  }

  #listUploads(query: URLSearchParams): Response {
    const nameOf = (one: { key: string; id: string }) => `${one.key}\n${one.id}`
    const [key, id] = [query.get('key-marker'), query.get('upload-id-marker')]
    const all = [...this.uploads].sort((a, b) => order(nameOf(a), nameOf(b)))
    const place = all.findIndex((one) => one.key === key && one.id === id)
    const rest = key === null ? all : place === -1 ? [] : all.slice(place + 1)
    const page = rest.slice(0, this.maxUploads)
    const entries = page.map(
      ({ key, id, initiated }) =>
        `<Upload><Key>${encode(key)}</Key><UploadId>${id}</UploadId><Initiated>${initiated.toISOString()}</Initiated></Upload>`,
    )
    const last = page.at(-1)
    const next = `<NextKeyMarker>${encode(last?.key ?? '')}</NextKeyMarker><NextUploadIdMarker>${last?.id}</NextUploadIdMarker>`
    return pageOf('ListMultipartUploadsResult', entries, page.length < rest.length ? next : null)
  }

  #deleteMany(body: string): Response {
    const results = Array.from(
      body.matchAll(/<Object><Key>(.*?)<\/Key>(?:<VersionId>(.*?)<\/VersionId>)?<\/Object>/g),
      ([, key = '', versionId]) => {
        const code = this.#delete(key, versionId ?? null)
        const version = versionId === undefined ? '' : `<VersionId>${versionId}</VersionId>`
        return code === null
          ? `<Deleted><Key>${key}</Key>${version}</Deleted>`
          : `<Error><Key>${key}</Key>${version}<Code>${code}</Code></Error>`
      },
    )
    return new Response(`<DeleteResult>${results.join('')}</DeleteResult>`)
  }
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const encode = (key: string): string => encodeURIComponent(key)

const pageOf = (root: string, entries: readonly string[], next: string | null): Response =>
  new Response(
    `<${root}><EncodingType>url</EncodingType><IsTruncated>${next !== null}</IsTruncated>${entries.join('')}${next ?? ''}</${root}>`,
  )

const errorOf = (status: number, code: string): Response =>
  new Response(`<Error><Code>${code}</Code></Error>`, { status })
