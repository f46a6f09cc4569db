import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** A CORS rule of the bucket. */
export interface Rule {
  readonly id?: string
  readonly origins: readonly string[]
  readonly methods: readonly string[]
  readonly headers: readonly string[]
  readonly expose: readonly string[]
}

/** The server's errors. Without them, it answers correctly. */
export interface Switches {
  readonly hangs?: (method: string, key: string) => boolean
  /** Answers 429, as R2 does to a second write within a second. */
  readonly isBusy?: (method: string, key: string, query: URLSearchParams) => boolean
  readonly html?: boolean
  readonly redirectsTo?: string
  readonly clockSkewSeconds?: number
  readonly sendsNoDate?: boolean
  /** S3's code for each signed request, with its status. */
  readonly refusesAllWith?: readonly [status: number, code: string]
  readonly hidesMissing?: boolean
  readonly refusesUploads?: boolean
  readonly sendsNoETag?: boolean
  readonly changesBytes?: boolean
  readonly readerCanNotRead?: boolean
  readonly writerReads?: boolean
  readonly writerLists?: boolean
  readonly copies?: boolean
  readonly publicObjects?: boolean
  readonly publicList?: boolean
  readonly breaksUnsigned?: boolean
  readonly publicAcls?: boolean
  readonly accessBlock?: 'none' | 'partial' | 'denied' | 'unknown'
  readonly ifNoneMatch?: 'ignored' | 'refused'
  readonly checksums?: 'ignored' | 'refused'
  readonly forms?: 'refused' | 'unchecked'
  readonly parts?: 'refused' | 'lost'
  readonly listParts?: 'refused' | 'empty'
  readonly abort?: 'refused' | 'ignored'
  readonly listUploads?:
    | 'denied'
    | 'refused'
    | 'empty'
    | 'whole keys'
    | 'stale'
    | 'endless'
    | 'once'
  /** Whether only the access key of upkeep may list. */
  readonly walkerOnly?: boolean
  readonly listObjects?: 'denied' | 'unordered' | 'from the start'
  readonly ifMatch?: 'ignored' | 'refused'
  readonly deleteMatch?: 'compared' | 'refused'
  readonly conditionalComplete?: 'ignored' | 'refused'
  readonly folds?: 'unicode' | 'slashes' | 'case'
  readonly denies?: 'delete' | 'cors'
  readonly ignoresRules?: boolean
  readonly keepsVersions?: boolean
  readonly exposesNothing?: boolean
}

export interface WrongServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string
  rules: readonly Rule[]
  /** The keys, with the version when versions are kept. */
  objects(): string[]
  uploads(): string[]
  /** Runs at each request, before it is answered. */
  onRequest: (method: string, key: string) => void
}

/** Access key ids. Only these identify the caller, because signatures are not checked. */
export const READER = 'READERKEY'
export const WRITER = 'WRITERKEY'
export const WALKER = 'WALKERKEY'
const BUCKET = '/files/'

export const GOOD_RULES: readonly Rule[] = [
  {
    origins: ['https://app.example.com'],
    methods: ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
    headers: ['*'],
    expose: ['ETag', 'Location'],
  },
]

/** A request for an object or an upload, with its whole body. */
interface Asked {
  readonly method: string
  readonly key: string
  readonly query: URLSearchParams
  readonly body: Buffer
  readonly headers: IncomingMessage['headers']
}

interface Reply {
  readonly status: number
  readonly text: string | Buffer
  readonly headers: Record<string, string>
}

const reply = (status: number, text: string | Buffer = '', headers = {}): Reply => ({
  status,
  text,
  headers,
})

interface Stored {
  readonly body: Buffer
  readonly isPublic: boolean
}

class Refusal extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string) {
    super(code)
    this.status = status
    this.code = code
  }
}

/** Starts a server for the bucket "files" that answers like S3, except for `switches`. */
export async function startWrongServer(switches: Switches = {}): Promise<WrongServer> {
  const objects = new Map<string, Stored>()
  const uploads = new Map<string, Map<string, Buffer>>()
  /** The key of each upload that was ever started. */
  const uploadKeys = new Map<string, string>()
  let versions = 0
  /** Whether the access key of upkeep has aborted an upload. */
  let wasAborted = false
  const state = { rules: GOOD_RULES, onRequest: (_method: string, _key: string): void => undefined }

  /** Null leaves the request without a response. */
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<Reply | null> {
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', 'http://server')
    const key = decodeURIComponent(url.pathname.slice(BUCKET.length))
    const query = url.searchParams
    state.onRequest(method, key)
    if (switches.hangs?.(method, key)) return null
    const body = await buffer(request)
    response.sendDate = false
    const skew = (switches.clockSkewSeconds ?? 0) * 1000
    if (!switches.sendsNoDate) response.setHeader('Date', new Date(Date.now() + skew).toUTCString())
    if (switches.html) return reply(200, '<html>', { 'Content-Type': 'text/html' })
    if (switches.redirectsTo !== undefined)
      return reply(307, '', { Location: switches.redirectsTo, 'x-amz-bucket-region': 'eu-west-1' })

    const asked = headers['access-control-request-method'] ?? method
    const wanted = (headers['access-control-request-headers'] ?? '').split(',').filter(Boolean)
    const rule = state.rules.find(
      (one) =>
        one.origins.some((origin) => allows(origin, headers.origin ?? '')) &&
        one.methods.includes(asked) &&
        wanted.every((name) => one.headers.includes('*') || one.headers.includes(name)),
    )
    if (headers.origin !== undefined && rule !== undefined) {
      response.setHeader('Access-Control-Allow-Origin', headers.origin)
      response.setHeader('Access-Control-Allow-Methods', rule.methods.join(', '))
      if (wanted.length > 0) response.setHeader('Access-Control-Allow-Headers', wanted.join(','))
      if (!switches.exposesNothing)
        response.setHeader('Access-Control-Expose-Headers', rule.expose.join(', '))
    }
    if (method === 'OPTIONS') {
      if (rule === undefined) throw new Refusal(403, 'AccessForbidden')
      return reply(200)
    }

    const scope = query.get('X-Amz-Credential') ?? headers.authorization ?? ''
    const who = [READER, WRITER, WALKER].find((id) => scope.includes(`${id}/`)) ?? null
    const isForm = headers['content-type']?.startsWith('multipart/form-data') === true
    if (who === null && scope !== '') throw new Refusal(403, 'InvalidAccessKeyId')
    if (who !== null && switches.refusesAllWith !== undefined)
      throw new Refusal(...switches.refusesAllWith)
    if (who === null && !isForm) {
      const open = switches.publicObjects || (switches.publicAcls && objects.get(key)?.isPublic)
      if (switches.breaksUnsigned && key !== '') throw new Refusal(500, 'InternalError')
      if (!(key === '' ? switches.publicList && query.has('list-type') : open))
        throw new Refusal(403, 'AccessDenied')
    }
    if (!`${url.pathname}/`.startsWith(BUCKET)) throw new Refusal(404, 'NoSuchBucket')
    if (switches.isBusy?.(method, key, query)) throw new Refusal(429, 'TooManyRequests')
    if (key === '') return ofBucket(method, query, who, body, headers)
    return ofObject({ method, key, query, body, headers }, who)
  }

  async function ofBucket(
    method: string,
    query: URLSearchParams,
    who: string | null,
    body: Buffer,
    headers: IncomingMessage['headers'],
  ): Promise<Reply> {
    if (query.has('cors')) {
      if (who !== READER || switches.denies === 'cors') throw new Refusal(403, 'AccessDenied')
      if (method === 'PUT') {
        const digest = createHash('md5').update(body).digest('base64')
        if (headers['content-md5'] !== digest) throw new Refusal(400, 'InvalidRequest')
        if (!switches.ignoresRules) state.rules = rulesIn(body.toString())
        return reply(200)
      }
      if (state.rules.length === 0) throw new Refusal(404, 'NoSuchCORSConfiguration')
      return reply(200, xmlOf(state.rules))
    }
    if (query.has('publicAccessBlock')) {
      if (switches.accessBlock === 'unknown') return reply(200, '<ListBucketResult/>')
      if (switches.accessBlock === 'denied') throw new Refusal(403, 'AccessDenied')
      if (switches.accessBlock === 'none')
        throw new Refusal(404, 'NoSuchPublicAccessBlockConfiguration')
      const on = switches.accessBlock !== 'partial'
      return reply(
        200,
        `<PublicAccessBlockConfiguration><BlockPublicAcls>${on}</BlockPublicAcls><IgnorePublicAcls>${on}</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
      )
    }
    if (method === 'POST') return postForm(body, headers)
    if (switches.walkerOnly && who !== WALKER) throw new Refusal(403, 'AccessDenied')
    if (query.has('uploads')) return listUploads(query)
    if (who === WRITER && !switches.writerLists) throw new Refusal(403, 'AccessDenied')
    if (switches.listObjects === 'denied') throw new Refusal(403, 'AccessDenied')
    return listObjects(query)
  }

  /** One upload on each page, to see whether the others are found too. */
  function listUploads(query: URLSearchParams): Reply {
    if (switches.listUploads === 'denied') throw new Refusal(403, 'AccessDenied')
    if (switches.listUploads === 'refused') throw new Refusal(501, 'NotImplemented')
    if (switches.listUploads === 'once' && wasAborted) throw new Refusal(500, 'InternalError')
    const ids = [...(switches.listUploads === 'stale' ? uploadKeys : uploads).keys()].filter(
      (id) =>
        switches.listUploads !== 'empty' &&
        (switches.listUploads !== 'whole keys' || uploadKeys.get(id) === query.get('prefix')),
    )
    const after = query.get('upload-id-marker')
    const next =
      switches.listUploads === 'endless' ? 0 : after === null ? 0 : ids.indexOf(after) + 1
    const id = ids[next]
    const key = id && encodeURIComponent(uploadKeys.get(id) ?? '')
    const result = 'ListMultipartUploadsResult'
    return reply(
      200,
      id === undefined
        ? `<${result}><IsTruncated>false</IsTruncated></${result}>`
        : `<${result}><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>${key}</NextKeyMarker><NextUploadIdMarker>${id}</NextUploadIdMarker><Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>2026-11-28T12:00:00.000Z</Initiated></Upload></${result}>`,
    )
  }

  function listObjects(query: URLSearchParams): Reply {
    const from = switches.listObjects === 'from the start' ? '' : (query.get('start-after') ?? '')
    const keys = [...objects.keys()].filter(
      (key) => key.startsWith(query.get('prefix') ?? '') && !key.includes('?'),
    )
    const listed = (switches.listObjects === 'unordered' ? keys : keys.toSorted())
      .filter((key) => key > from)
      .slice(0, Number(query.get('max-keys')))
      .map(
        (key) =>
          `<Contents><Key>${key}</Key><Size>6</Size><ETag>"e"</ETag><LastModified>2026-11-28T12:00:00.000Z</LastModified></Contents>`,
      )
    return reply(200, `<ListBucketResult>${listed.join('')}</ListBucketResult>`)
  }

  async function postForm(body: Buffer, headers: IncomingMessage['headers']): Promise<Reply> {
    if (switches.forms === 'refused') throw new Refusal(501, 'NotImplemented')
    const type = headers['content-type'] ?? ''
    const form = await new Response(new Uint8Array(body), {
      headers: { 'Content-Type': type },
    }).formData()
    const policy = JSON.parse(Buffer.from(String(form.get('Policy')), 'base64').toString())
    const [[, , max]] = policy.conditions
    const file = form.get('file')
    const bytes = Buffer.from(file instanceof Blob ? await file.text() : '')
    if (bytes.length > max && switches.forms !== 'unchecked')
      throw new Refusal(400, 'EntityTooLarge')
    return reply(201, '', versionHeader(store(String(form.get('key')), bytes, false)))
  }

  function ofObject({ method, key, query, body, headers }: Asked, who: string | null): Reply {
    const uploadId = query.get('uploadId')
    const name = folded(key)
    if (query.has('uploads')) {
      if (switches.parts === 'refused') throw new Refusal(403, 'AccessDenied')
      const id = `upload-${uploadKeys.size}`
      uploads.set(id, new Map())
      uploadKeys.set(id, key)
      const result = 'InitiateMultipartUploadResult'
      return reply(200, `<${result}><UploadId>${id}</UploadId></${result}>`)
    }
    if (uploadId !== null && method === 'DELETE' && who === WALKER) {
      wasAborted = true
      if (switches.listUploads === 'once') return reply(204)
    }
    if (uploadId !== null) return ofUpload({ method, key: name, query, body, headers }, uploadId)
    const etag = switches.sendsNoETag ? undefined : `"${md5(body)}"`
    switch (method) {
      case 'PUT': {
        if (switches.refusesUploads) throw new Refusal(403, 'AccessDenied')
        if (headers['if-none-match'] === '*') {
          if (switches.ifNoneMatch === 'refused') throw new Refusal(501, 'NotImplemented')
          if (switches.ifNoneMatch !== 'ignored' && objects.has(name))
            throw new Refusal(412, 'PreconditionFailed')
        }
        const match = headers['if-match']
        if (match !== undefined) {
          if (switches.ifMatch === 'refused') throw new Refusal(501, 'NotImplemented')
          const current = objects.get(name)?.body
          if (switches.ifMatch !== 'ignored' && match !== (current && `"${md5(current)}"`))
            throw new Refusal(412, 'PreconditionFailed')
        }
        const checksum = headers['x-amz-checksum-sha256']
        if (checksum !== undefined) {
          if (switches.checksums === 'refused') throw new Refusal(400, 'InvalidArgument')
          const digest = createHash('sha256').update(body).digest('base64')
          if (switches.checksums !== 'ignored' && checksum !== digest)
            throw new Refusal(400, 'BadDigest')
        }
        const source = headers['x-amz-copy-source']
        if (source !== undefined && !switches.copies) throw new Refusal(403, 'AccessDenied')
        const copied = String(source).slice(BUCKET.length)
        const bytes = source === undefined ? body : objects.get(copied)?.body
        const version = store(name, bytes ?? body, headers['x-amz-acl'] === 'public-read')
        return reply(200, '', {
          ...(etag === undefined ? {} : { ETag: etag }),
          ...versionHeader(version),
        })
      }
      case 'DELETE': {
        const match = headers['if-match']
        if (match !== undefined && switches.deleteMatch === 'refused')
          throw new Refusal(501, 'NotImplemented')
        const there = objects.get(name)?.body
        if (match !== undefined && switches.deleteMatch && match !== (there && `"${md5(there)}"`))
          throw new Refusal(412, 'PreconditionFailed')
        if (switches.denies === 'delete') throw new Refusal(403, 'AccessDenied')
        const version = query.get('versionId')
        if (switches.keepsVersions && version === null) return reply(204) // A delete marker.
        objects.delete(version === null ? name : `${name}?${version}`)
        objects.delete(name)
        return reply(204)
      }
      default: {
        if (who === WRITER && !switches.writerReads) throw new Refusal(403, 'AccessDenied')
        if (who === READER && switches.readerCanNotRead && objects.has(name))
          throw new Refusal(403, 'AccessDenied')
        const found = objects.get(name)
        if (found === undefined)
          throw switches.hidesMissing
            ? new Refusal(403, 'AccessDenied')
            : new Refusal(404, 'NoSuchKey')
        const version = switches.keepsVersions ? `v${versions}` : null
        return reply(200, switches.changesBytes ? 'other' : found.body, versionHeader(version))
      }
    }
  }

  function ofUpload({ method, key, query, body, headers }: Asked, uploadId: string): Reply {
    const parts = uploads.get(uploadId)
    if (parts === undefined) throw new Refusal(404, 'NoSuchUpload')
    const etagOf = (part: Buffer) => `&quot;${md5(part)}&quot;`
    switch (method) {
      case 'PUT':
        if (switches.parts === 'lost') throw new Refusal(500, 'InternalError')
        parts.set(query.get('partNumber') ?? '', body)
        return reply(200, '', { ETag: `"${md5(body)}"` })
      case 'GET': {
        if (switches.listParts === 'refused') throw new Refusal(403, 'AccessDenied')
        const listed = [...(switches.listParts === 'empty' ? [] : parts)].map(
          ([number, part]) =>
            `<Part><PartNumber>${number}</PartNumber><Size>${part.length}</Size><ETag>${etagOf(part)}</ETag></Part>`,
        )
        return reply(200, `<ListPartsResult>${listed.join('')}</ListPartsResult>`)
      }
      case 'DELETE':
        if (switches.abort === 'refused') throw new Refusal(405, 'MethodNotAllowed')
        if (switches.abort !== 'ignored') uploads.delete(uploadId)
        return reply(204)
      default: {
        if (headers['if-none-match'] === '*') {
          if (switches.conditionalComplete === 'refused') throw new Refusal(501, 'NotImplemented')
          if (switches.conditionalComplete !== 'ignored' && objects.has(key))
            throw new Refusal(412, 'PreconditionFailed')
        }
        store(key, Buffer.concat([...parts.values()]), false)
        uploads.delete(uploadId)
        const result = 'CompleteMultipartUploadResult'
        return reply(200, `<${result}></${result}>`)
      }
    }
  }

  function store(key: string, body: Buffer, isPublic: boolean): string | null {
    objects.set(key, { body, isPublic })
    if (!switches.keepsVersions) return null
    versions += 1
    objects.set(`${key}?v${versions}`, { body, isPublic })
    return `v${versions}`
  }

  /** Returns the key under which the server stores an object. */
  function folded(key: string): string {
    if (switches.folds === 'unicode') return key.normalize()
    if (switches.folds === 'slashes') return key.replaceAll(/\/+/g, '/')
    return switches.folds === 'case' ? key.toLowerCase() : key
  }

  const server = createServer((request, response) => {
    answer(request, response)
      .catch((error: unknown) => {
        const { status, code } =
          error instanceof Refusal ? error : { status: 500, code: `Bug${String(error)}` }
        const text = `<Error><Code>${code}</Code><Message><![CDATA[${request.url}]]></Message><Region>eu-west-1</Region></Error>`
        return reply(status, text, { 'Content-Type': 'application/xml' })
      })
      .then((sent) => {
        if (sent !== null) response.writeHead(sent.status, sent.headers).end(sent.text)
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return Object.assign(state, {
    endpoint: `http://127.0.0.1:${port}`,
    objects: () => [...objects.keys()],
    uploads: () => [...uploads.keys()],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  })
}

const versionHeader = (version: string | null): Record<string, string> =>
  version === null ? {} : { 'x-amz-version-id': version }

const md5 = (body: Buffer): string => createHash('md5').update(body).digest('hex')

/** Returns whether a rule's origin, which may contain one star, allows `origin`. */
function allows(pattern: string, origin: string): boolean {
  const [start = '', end] = pattern.split('*')
  return end === undefined
    ? pattern === origin
    : origin.startsWith(start) && origin.endsWith(end) && origin !== start + end
}

const MEMBERS = {
  AllowedOrigin: 'origins',
  AllowedMethod: 'methods',
  AllowedHeader: 'headers',
  ExposeHeader: 'expose',
} as const

function rulesIn(xml: string): Rule[] {
  return [...xml.matchAll(/<CORSRule>(.*?)<\/CORSRule>/g)].map(([, rule = '']) => {
    const all = (name: string) =>
      [...rule.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'g'))].map(([, value = '']) => value)
    const [id] = all('ID')
    return {
      ...(id === undefined ? {} : { id }),
      origins: all('AllowedOrigin'),
      methods: all('AllowedMethod'),
      headers: all('AllowedHeader'),
      expose: all('ExposeHeader'),
    }
  })
}

function xmlOf(rules: readonly Rule[]): string {
  const written = rules.map((rule) => {
    const members = Object.entries(MEMBERS).flatMap(([name, member]) =>
      rule[member].map((value) => `<${name}>${value}</${name}>`),
    )
    const id = rule.id === undefined ? '' : `<ID>${rule.id}</ID>`
    return `<CORSRule>${id}${members.join('')}</CORSRule>`
  })
  return `<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${written.join('')}</CORSConfiguration>`
}
