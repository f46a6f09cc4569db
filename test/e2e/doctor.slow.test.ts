import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DeletePublicAccessBlockCommand,
  GetBucketCorsCommand,
  ListObjectsV2Command,
  PutBucketCorsCommand,
  PutBucketPolicyCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Finding, Status } from '../../cli/doctor/report.ts'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { startR2 } from '../../tools/dev/r2.ts'
import { sdkClient } from './contract/context.ts'
import {
  type BucketRun,
  findingsOf,
  type Hangs,
  NEVER_SECONDS,
  ORIGIN,
  READER_SECRET,
  runDoctor,
  SIGNING_SECRET,
  startDoctor,
  statuses,
  variables,
  WRITER_SECRET,
} from './doctor/run.ts'
import {
  GOOD_RULES,
  READER,
  type Rule,
  type Switches,
  startWrongServer,
  WALKER,
  WRITER,
  type WrongServer,
} from './doctor/wrong-server.ts'
import { startWorker } from './doctor/wrong-worker.ts'
import { sharedCeph } from './shared.ts'
import { describeWith, RADOSGW } from './system-package.ts'

const CHECKS = [
  ...[
    'reachable',
    'clock',
    'credentials',
    'upload',
    'read',
    'public-endpoint',
    'upload-key',
    'copy',
    'copies',
    'private',
  ],
  ...['acl', 'public-access-block', 'conditional-writes'],
  ...['conditional-replace', 'conditional-delete', 'checksums', 'post-policies', 'parts'],
  ...[
    'list-parts',
    'abort',
    'conditional-complete',
    'key-spelling',
    'list-uploads',
    'list-objects',
  ],
  ...['cors', 'clean-up'],
]

const [RULE] = GOOD_RULES as [Rule]

/** Checks a server with these switches. Also returns the server, to see what is left in it. */
async function checked(
  switches: Switches,
  { bucket = {}, rules = GOOD_RULES, run = {} }: Setup = {},
): Promise<{ findings: Finding[]; server: WrongServer }> {
  await using server = await startWrongServer(switches)
  server.rules = rules
  const publicEndpoint = server.endpoint.replace('127.0.0.1', 'localhost')
  const findings = await findingsOf(variables(server.endpoint, { publicEndpoint, ...bucket }), run)
  expectNoSecrets(JSON.stringify(findings))
  return { findings, server }
}

interface Setup {
  readonly bucket?: object
  readonly rules?: readonly Rule[]
  readonly run?: BucketRun
}

function expectNoSecrets(output: string, others: readonly string[] = []): void {
  for (const secret of [...others, READER_SECRET, WRITER_SECRET, SIGNING_SECRET, READER, WRITER])
    expect(output).not.toContain(secret)
  expect(output).not.toMatch(/X-Amz-(?!Acl)|Signature=|[0-9a-f]{64}/)
}

describe('doctor, for a bucket,', () => {
  it('passes every check when nothing is wrong, and leaves nothing behind', async () => {
    const { findings, server } = await checked({}, { run: { upkeep: true } })
    const expected = CHECKS.map((name) => [name, name === 'copies' ? 'skip' : 'pass'])
    expect(statuses(findings)).toEqual(Object.fromEntries(expected))
    expect(findings.filter(({ fix }) => fix !== null).map(({ check }) => check)).toEqual([
      'bucket.copies',
    ])
    expect(findings.every(({ subject }) => subject === 'files')).toBe(true)
    expect({ objects: server.objects(), uploads: server.uploads() }).toEqual({
      objects: [],
      uploads: [],
    })
  })

  const rules = (change: Partial<Rule>): Setup => ({ rules: [{ ...RULE, ...change }] })

  // @threat doctor-log-secrets
  it.each<[what: string, check: string, status: Status, said: RegExp, Switches, Setup?]>([
    ...(
      [
        ['path', { endpoint: 'http://127.0.0.1:1/files' }, 'endpoint'],
        ['path with a slash', { endpoint: 'http://127.0.0.1:1/s3/files/' }, 'endpoint'],
        ['host', { endpoint: 'http://files.localhost:1' }, 'endpoint'],
        [
          'virtual host',
          { endpoint: 'http://files.localhost:1', addressing: 'virtual' },
          'endpoint',
        ],
        [
          'virtual path',
          { endpoint: 'http://localhost:1/files', addressing: 'virtual' },
          'endpoint',
        ],
        ['public path', { publicEndpoint: 'http://127.0.0.1:1/files' }, 'publicEndpoint'],
      ] as const
    ).map(([where, bucket, member]): [string, string, Status, RegExp, Switches, Setup] => [
      `the bucket in the ${where}`,
      'endpoint',
      'warn',
      new RegExp(`^\`${member}\` contains the name of the bucket`),
      {},
      { bucket },
    ]),
    ['a web page', 'reachable', 'fail', /web page/, { html: true }],
    ['a redirect', 'reachable', 'fail', /in eu-west-1/, { redirectsTo: 'https://x.example/?s=1' }],
    ['a wrong clock', 'clock', 'fail', /(?:59|60|61)\d seconds behind/, { clockSkewSeconds: -600 }],
    ['a clock that drifts', 'clock', 'warn', /ahead of/, { clockSkewSeconds: 60 }],
    [
      'a wrong clock and longer-lived URLs',
      'clock',
      'warn',
      /(?:59|60|61)\d seconds behind/,
      { clockSkewSeconds: -600 },
      { bucket: { defaultExpiresIn: { upload: 1800 } } },
    ],
    ['no Date', 'clock', 'skip', /no Date/, { sendsNoDate: true }],
    [
      'an unknown key',
      'credentials',
      'fail',
      /not recognize/,
      {
        refusesAllWith: [403, 'InvalidAccessKeyId'],
      },
    ],
    [
      'a wrong secret',
      'credentials',
      'fail',
      /signature of S3/,
      {
        refusesAllWith: [403, 'SignatureDoesNotMatch'],
      },
    ],
    [
      'a late request',
      'credentials',
      'fail',
      /clocks/,
      {
        refusesAllWith: [403, 'RequestTimeTooSkewed'],
      },
    ],
    [
      'an old token',
      'credentials',
      'fail',
      /session token/,
      {
        refusesAllWith: [400, 'ExpiredToken'],
      },
    ],
    [
      'a wrong region',
      'credentials',
      'fail',
      /region is wrong/,
      {
        refusesAllWith: [400, 'AuthorizationHeaderMalformed'],
      },
    ],
    [
      'a missing bucket',
      'credentials',
      'fail',
      /no bucket "other"/,
      {},
      {
        bucket: { bucket: 'other' },
      },
    ],
    [
      'an error',
      'credentials',
      'fail',
      /500 InternalError/,
      {
        refusesAllWith: [500, 'InternalError'],
      },
    ],
    [
      'missing objects hidden',
      'credentials',
      'warn',
      /ListBucket|does not exist/,
      {
        hidesMissing: true,
      },
    ],
    ['refused uploads', 'upload', 'fail', /S3_WRITE is refused/, { refusesUploads: true }],
    ['no ETag', 'upload', 'fail', /no ETag/, { sendsNoETag: true }],
    ['other bytes', 'read', 'fail', /differs/, { changesBytes: true }],
    ['no permission to read', 'read', 'fail', /S3 is refused/, { readerCanNotRead: true }],
    ['an upload pair that reads', 'upload-key', 'fail', /can read/, { writerReads: true }],
    ['an upload pair that lists', 'upload-key', 'fail', /can list/, { writerLists: true }],
    [
      'one access key',
      'upload-key',
      'warn',
      /One access key/,
      {},
      { bucket: { uploadCredentials: 'S3' } },
    ],
    ['copies by upload URLs', 'copy', 'fail', /copy every object/, { copies: true }],
    ['a public bucket', 'private', 'fail', /read its objects/, { publicObjects: true }],
    ['a public list', 'private', 'fail', /list its objects/, { publicList: true }],
    ['unsigned errors', 'private', 'warn', /inconclusive/, { breaksUnsigned: true }],
    ['ACLs by upload URLs', 'acl', 'fail', /public/, { publicAcls: true }],
    ['no access block', 'public-access-block', 'warn', /no public/, { accessBlock: 'none' }],
    [
      'half an access block',
      'public-access-block',
      'warn',
      /Off: BlockPublicAcls, Ignore/,
      {
        accessBlock: 'partial',
      },
    ],
    [
      'a hidden access block',
      'public-access-block',
      'skip',
      /may not read/,
      {
        accessBlock: 'denied',
      },
    ],
    [
      'unknown access blocks',
      'public-access-block',
      'skip',
      /Not supported/,
      {
        accessBlock: 'unknown',
      },
    ],
    ['If-None-Match ignored', 'conditional-writes', 'fail', /replaced/, { ifNoneMatch: 'ignored' }],
    ['If-None-Match refused', 'conditional-writes', 'fail', /501/, { ifNoneMatch: 'refused' }],
    [
      'If-None-Match ignored, as set',
      'conditional-writes',
      'warn',
      /replaced/,
      { ifNoneMatch: 'ignored' },
      { bucket: { conditionalPut: false } },
    ],
    [
      'If-None-Match that is not used',
      'conditional-writes',
      'warn',
      /`conditionalPut` is off/,
      {},
      { bucket: { conditionalPut: false } },
    ],
    ['If-Match ignored', 'conditional-replace', 'fail', /replaced/, { ifMatch: 'ignored' }],
    ['If-Match refused', 'conditional-replace', 'fail', /501/, { ifMatch: 'refused' }],
    [
      'If-Match ignored, as set',
      'conditional-replace',
      'pass',
      /as the settings say/,
      { ifMatch: 'ignored' },
      { bucket: { conditionalReplace: false } },
    ],
    [
      'If-Match that is not used',
      'conditional-replace',
      'warn',
      /`conditionalReplace` is off/,
      {},
      { bucket: { conditionalReplace: false } },
    ],
    [
      'If-Match of a delete ignored',
      'conditional-delete',
      'fail',
      /was deleted/,
      {},
      { bucket: { conditionalDelete: true } },
    ],
    [
      'If-Match of a delete refused',
      'conditional-delete',
      'fail',
      /501/,
      { deleteMatch: 'refused' },
      { bucket: { conditionalDelete: true } },
    ],
    [
      'If-Match of a delete that is not used',
      'conditional-delete',
      'warn',
      /`conditionalDelete` is off/,
      { deleteMatch: 'compared' },
    ],
    ['checksums ignored', 'checksums', 'warn', /accepted/, { checksums: 'ignored' }],
    ['checksums refused', 'checksums', 'warn', /refused/, { checksums: 'refused' }],
    ['no forms', 'post-policies', 'fail', /501 NotImplemented/, { forms: 'refused' }],
    [
      'no forms, as set',
      'post-policies',
      'pass',
      /as the settings say/,
      { forms: 'refused' },
      {
        bucket: { postUploads: false },
      },
    ],
    ['unchecked forms', 'post-policies', 'fail', /ignores the policy/, { forms: 'unchecked' }],
    ['no uploads in parts', 'parts', 'fail', /403 AccessDenied/, { parts: 'refused' }],
    ['parts that fail', 'parts', 'fail', /500/, { parts: 'lost' }],
    ['no uploads in parts', 'list-parts', 'skip', /403/, { parts: 'refused' }],
    ['no ListParts', 'list-parts', 'warn', /403/, { listParts: 'refused' }],
    ['parts not listed', 'list-parts', 'warn', /not listed/, { listParts: 'empty' }],
    ['no abort', 'abort', 'warn', /405/, { abort: 'refused' }],
    ['aborts ignored', 'abort', 'warn', /after the upload was aborted/, { abort: 'ignored' }],
    [
      'completes that replace',
      'conditional-complete',
      'fail',
      /ignored/,
      {
        conditionalComplete: 'ignored',
      },
    ],
    [
      'completes refused',
      'conditional-complete',
      'fail',
      /501/,
      {
        conditionalComplete: 'refused',
      },
    ],
    [
      'completes that replace, as set',
      'conditional-complete',
      'pass',
      /as the settings say/,
      {
        conditionalComplete: 'ignored',
      },
      { bucket: { conditionalComplete: false } },
    ],
    [
      'conditions that are not used',
      'conditional-complete',
      'warn',
      /is off/,
      {},
      {
        bucket: { conditionalComplete: false },
      },
    ],
    ['Unicode forms folded', 'key-spelling', 'fail', /Unicode forms/, { folds: 'unicode' }],
    [
      'Unicode forms folded, as set',
      'key-spelling',
      'pass',
      /NFC/,
      { folds: 'unicode' },
      {
        bucket: { normalizesKeys: true },
      },
    ],
    [
      'Unicode forms apart, but set',
      'key-spelling',
      'warn',
      /separate/,
      {},
      {
        bucket: { normalizesKeys: true },
      },
    ],
    ['slashes folded', 'key-spelling', 'warn', /a\/\/b/, { folds: 'slashes' }],
    ['case folded', 'key-spelling', 'warn', /case/, { folds: 'case' }],
    ...(
      [
        ['no ListMultipartUploads', 'refused', /501 NotImplemented/],
        ['an empty list of uploads', 'empty', /lacks one that has just begun/],
        ['a list of uploads that needs the whole key', 'whole keys', /lacks one/],
        ['uploads that stay in the list', 'stale', /stays in the list/],
        ['a list of uploads without an end', 'endless', /pages that never end/],
      ] as const
    ).map(([what, listUploads, said]): [string, string, Status, RegExp, Switches] => [
      ...([what, 'list-uploads', 'warn', said, { listUploads }] as const),
    ]),
    [
      'no permission to list uploads',
      'list-uploads',
      'skip',
      /S3_WRITE/,
      { listUploads: 'denied' },
    ],
    [
      'no permission to list uploads, with UPKEEP',
      ...([
        'list-uploads',
        'warn',
        /unfinished uploads \(AccessDenied\)/,
        { listUploads: 'denied' },
      ] as const),
      { run: { upkeep: true } },
    ],
    ['no permission to abort', 'list-uploads', 'warn', /can't abort/, { abort: 'refused' }],
    ['no UPKEEP', 'list-objects', 'skip', /UPKEEP/, { listObjects: 'denied' }],
    ...(
      [
        ['no permission to list', 'denied', /can't list the objects \(403 AccessDenied\)/],
        ['a list without an order', 'unordered', /not in the order/],
        ['start-after ignored', 'from the start', /start-after/],
      ] as const
    ).map(([what, listObjects, said]): [string, string, Status, RegExp, Switches, Setup] => [
      ...([what, 'list-objects', 'warn', said, { listObjects }] as const),
      { run: { upkeep: true } },
    ]),
    ['no CORS', 'cors', 'fail', /PUT: the preflight is refused/, {}, { rules: [] }],
    ['another origin', 'cors', 'fail', /403/, {}, rules({ origins: ['https://b.example'] })],
    ['no CORS for GET', 'cors', 'fail', /GET: /, {}, rules({ methods: ['PUT'] })],
    ['no header Content-Type', 'cors', 'fail', /PUT: /, {}, rules({ headers: ['range'] })],
    ['few headers', 'cors', 'warn', /sha256, metadata/, {}, rules({ headers: ['content-type'] })],
    ['no POST', 'cors', 'warn', /POST, /, {}, rules({ methods: ['GET', 'PUT', 'DELETE'] })],
    ['no DELETE', 'cors', 'warn', /DELETE, /, {}, rules({ methods: ['GET', 'PUT', 'POST'] })],
    ['ETag hidden', 'cors', 'fail', /ETag is not exposed/, {}, rules({ expose: ['Location'] })],
    ['Location hidden', 'cors', 'warn', /Location is not exposed/, {}, rules({ expose: ['ETag'] })],
    ['every origin', 'cors', 'warn', /every other origin/, {}, rules({ origins: ['*'] })],
    ['no permission to delete', 'clean-up', 'warn', /AccessDenied/, { denies: 'delete' }],
  ])('detects %s (%s: %s)', async (...row) => {
    const [, check, status, said, switches, setup] = row
    const { findings } = await checked(switches, setup)
    const finding = findings.find((one) => one.check === `bucket.${check}`)
    expect(finding).toMatchObject({ status, message: expect.stringMatching(said) })
    if (status === 'warn' || status === 'fail') expect(finding?.fix).toMatch(/\w/)
  })

  it('ends its upload also if the server only claims to, and then lists nothing', async () => {
    const credentials = {
      accessKeyId: WALKER,
      secretAccessKey: 's',
      sessionToken: null,
      expiresAt: Infinity,
    }
    const walker = { credentials, name: 'S3_WALK' }
    const run = { upkeep: true, walker }
    const { findings, server } = await checked({ listUploads: 'once' }, { run })
    expect(server.uploads()).toEqual([])
    expect(findings.find(({ check }) => check === 'bucket.list-uploads')).toMatchObject({
      status: 'warn',
      message: 'Not supported: ListMultipartUploads is refused (500 InternalError).',
    })
  })

  it('detects that clients and the Worker reach different servers', async () => {
    await using other = await startWrongServer()
    const { findings } = await checked({}, { bucket: { publicEndpoint: other.endpoint } })
    expect(statuses(findings)).toMatchObject({ read: 'pass', 'public-endpoint': 'fail' })
    expect({ objects: other.objects(), uploads: other.uploads() }).toEqual({
      objects: [],
      uploads: [],
    })
  })

  it('names which of two endpoints does not answer', async () => {
    await using server = await startWrongServer()
    const bucket = { endpoint: 'http://minio.invalid:9000', publicEndpoint: server.endpoint }
    const [finding] = await findingsOf(variables(server.endpoint, bucket))
    expect(finding).toMatchObject({ status: 'fail', fix: expect.stringMatching(/`endpoint`/) })
    const others = { endpoint: server.endpoint, publicEndpoint: 'http://files.invalid' }
    const [another] = await findingsOf(variables(server.endpoint, others))
    expect(another?.fix).toMatch(/`publicEndpoint`/)
  })

  it('skips the check of two endpoints when there is only one', async () => {
    await using server = await startWrongServer()
    const findings = await findingsOf(variables(server.endpoint))
    expect(statuses(findings)['public-endpoint']).toBe('skip')
  })

  it('checks an origin with a star as a page that it allows', async () => {
    await using server = await startWrongServer()
    const settings = {
      ...variables(server.endpoint),
      CORS_ORIGINS: '["https://*.app.example.com"]',
    }
    server.rules = [{ ...RULE, origins: ['https://*.app.example.com'] }]
    expect(statuses(await findingsOf(settings)).cors).toBe('pass')
    server.rules = [{ ...RULE, origins: ['https://app.example.com'] }]
    expect(statuses(await findingsOf(settings)).cors).toBe('fail')
  })

  it('warns if only drop boxes need an origin that the bucket refuses, and writes a rule for it', async () => {
    await using server = await startWrongServer()
    const cors = async (run: BucketRun) =>
      (await findingsOf(variables(server.endpoint), run))
        .filter(({ check }) => check === 'bucket.cors')
        .map(({ status, message }) => [status, message])
    const dropBoxOrigins = ['https://links.example.com', ORIGIN]
    const refused = [
      'warn',
      expect.stringMatching(
        /^https:\/\/links\.example\.com: PUT: .* Pages of drop boxes need this\.$/,
      ),
    ]
    const passed = ['pass', expect.any(String)]
    expect(await cors({ dropBoxOrigins })).toEqual([passed, refused])
    expect(await cors({ dropBoxOrigins, consent: async () => true })).toEqual([passed, passed])
    server.rules = []
    expect(await cors({ dropBoxOrigins })).toEqual([['fail', expect.any(String)], refused])
  })

  it('reports each check in each run, however early one fails', async () => {
    const { findings } = await checked({ html: true })
    const { 'clean-up': _, ...found } = statuses(findings)
    expect(Object.keys(found)).toEqual(CHECKS.filter((name) => name !== 'clean-up'))
    expect(Object.values(found)).toEqual(['fail', ...Array(CHECKS.length - 2).fill('skip')])
  })

  it.each([
    ['immediately', 'reachable', (): boolean => true],
    ['at an upload', 'upload', (method: string): boolean => method === 'PUT'],
  ])('gives up on a server that hangs %s', async (_, check, hangs) => {
    const { findings } = await checked({ hangs }, { run: { hangs } })
    expect(findings.find((one) => one.check === `bucket.${check}`)).toMatchObject({
      status: 'fail',
      message: expect.stringContaining(`No response within ${NEVER_SECONDS} seconds.`),
    })
  })

  it('stops after two requests without a response', async () => {
    const asked: string[] = []
    const hangs: Hangs = (method, path) => method === 'GET' && path.endsWith('object.txt')
    await using server = await startWrongServer({ hangs })
    server.onRequest = (method, key) => asked.push(`${method} ${key.split('/').at(-1)}`)
    const findings = await findingsOf(variables(server.endpoint), { hangs })
    expect(statuses(findings)).toMatchObject({
      read: 'fail',
      'upload-key': 'fail',
      copy: 'skip',
      copies: 'skip',
      cors: 'skip',
      'clean-up': 'pass',
    })
    expect(asked).not.toContain('PUT copy.txt')
    expect(server.objects()).toEqual([])
  })

  // @threat doctor-leftovers
  it.each<[string, Switches]>([
    ['a server that keeps versions', { keepsVersions: true }],
    ['a server without AbortMultipartUpload', { abort: 'refused' }],
    ['a server that accepts forms against their policy', { forms: 'unchecked' }],
    ['a server that hides unfinished uploads', { listUploads: 'empty' }],
    ['a server that refuses to list uploads', { listUploads: 'denied' }],
    ['a server whose list of uploads is late', { listUploads: 'stale' }],
  ])('leaves nothing in %s', async (_, switches) => {
    const { server } = await checked(switches)
    expect({ objects: server.objects(), uploads: server.uploads() }).toEqual({
      objects: [],
      uploads: [],
    })
  })

  it('retries at a busy server, also to complete an upload', async () => {
    const seen = new Set<string>()
    const isBusy: Switches['isBusy'] = (method, key, query) => {
      const what = `${method} ${key.split('/').at(-1)}`
      const counts =
        what === 'PUT once.txt' || (what === 'POST complete.txt' && query.has('uploadId'))
      return counts && seen.size < seen.add(what).size
    }
    const { findings } = await checked({ isBusy }, { run: { upkeep: true } })
    expect(seen).toEqual(new Set(['PUT once.txt', 'POST complete.txt']))
    const others = findings.filter(({ check }) => check !== 'bucket.copies')
    expect(others.filter(({ status }) => status !== 'pass')).toEqual([])
  })

  // @threat doctor-leftovers
  it('deletes what it has created when a check throws', async () => {
    await using server = await startWrongServer()
    const onFinding = ({ check }: Finding) => {
      if (check === 'bucket.checksums') throw new Error('a bug')
    }
    await expect(findingsOf(variables(server.endpoint), { onFinding })).rejects.toThrow('a bug')
    expect(server.objects()).toEqual([])
  })

  it('names what it could not delete', async () => {
    const { findings, server } = await checked({ denies: 'delete' })
    const cleanUp = findings.find(({ check }) => check === 'bucket.clean-up')
    expect(server.objects().length).toBeGreaterThan(5)
    for (const key of server.objects()) expect(cleanUp?.message).toContain(key)
  })

  it('reports the expiry of temporary credentials', async () => {
    await using server = await startWrongServer()
    const run = (expiration: string) =>
      findingsOf({
        ...variables(server.endpoint),
        S3_CREDENTIAL_EXPIRATION: expiration,
        S3_SESSION_TOKEN: 'token',
      })
    expect(statuses(await run('2020-01-01T00:00:00Z')).credentials).toBe('fail')
    const soon = new Date(Date.now() + 3_600_000).toISOString()
    expect(statuses(await run(soon)).credentials).toBe('warn')
    expect(statuses(await run('2999-01-01T00:00:00Z')).credentials).toBe('pass')
  })

  it.each<[string, Switches, Record<string, Status>]>([
    ['nothing wrong', {}, {}],
    ['a wrong secret', { refusesAllWith: [403, 'SignatureDoesNotMatch'] }, { credentials: 'fail' }],
  ])('only reads before a dry run, with %s', async (_, switches, wrong) => {
    await using server = await startWrongServer(switches)
    const methods = new Set<string>()
    server.onRequest = (method) => methods.add(method)
    const found = statuses(await findingsOf(variables(server.endpoint), { part: 'dry' }))
    expect(found).toMatchObject({ reachable: 'pass', ...wrong })
    const all = ['reachable', 'clock', 'credentials', 'upload', 'public-access-block', 'cors']
    expect(Object.keys(found)).toEqual(all)
    for (const method of methods) expect(['GET', 'OPTIONS']).toContain(method)
  })

  it('finds a wrong access key for uploads and missing rules before a dry run', async () => {
    await using server = await startWrongServer()
    server.rules = []
    const settings = { ...variables(server.endpoint), S3_WRITE_ACCESS_KEY_ID: 'UNKNOWN' }
    const { upload } = statuses(await findingsOf(settings, { part: 'dry' }))
    const { cors } = statuses(await findingsOf(variables(server.endpoint), { part: 'dry' }))
    expect([upload, cors]).toEqual(['fail', 'fail'])
    expect(server.objects()).toEqual([])
  })

  it('explains a port where nothing listens, and an unknown host', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    const [refused] = await findingsOf(variables(`http://127.0.0.1:${port}`))
    expect(refused?.message).toMatch(/No server is listening/)
    const [unknown] = await findingsOf(variables('http://bucket.invalid'))
    expect(unknown?.message).toMatch(/host name/)
  })
})

describe('doctor --fix-cors', () => {
  const foreign: Rule = {
    id: 'shop',
    origins: ['https://shop.example.com'],
    methods: ['GET'],
    headers: ['x-shop'],
    expose: ['x-amz-request-id'],
  }

  it('shows its rule, writes it, keeps other rules, and checks again', async () => {
    const shown: string[] = []
    const consent = async (text: string) => shown.push(text) > 0
    const { findings, server } = await checked({}, { rules: [foreign], run: { consent } })
    expect(statuses(findings)).toMatchObject({ 'fix-cors': 'pass', cors: 'pass' })
    expect(server.rules).toEqual([
      {
        id: 'edge-presigner',
        origins: [ORIGIN],
        methods: ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
        headers: ['*'],
        expose: ['ETag', 'Location'],
      },
      foreign,
    ])
    expect(shown.join()).toContain(ORIGIN)
    expect(shown.join()).toContain('Its 1 other rule stays')
  })

  // @threat doctor-overwrites-cors
  it.each<[string, Switches, Setup, boolean]>([
    ['the user does not agree', {}, { rules: [foreign] }, false],
    ['the rules are correct', {}, {}, true],
    [
      'the access key has no permission to read the rules',
      { denies: 'cors' },
      { rules: [foreign] },
      true,
    ],
  ])('writes nothing when %s', async (_, switches, setup, agrees) => {
    const run = { consent: async () => agrees }
    const { findings, server } = await checked(switches, { ...setup, run })
    expect(server.rules).toEqual(setup.rules ?? GOOD_RULES)
    expect(statuses(findings)['fix-cors']).toBe(setup.rules === undefined ? undefined : 'fail')
  })

  it('writes nothing twice, although another rule allows every origin', async () => {
    const run = { consent: async () => true }
    const everyone = { ...RULE, origins: ['*'] }
    const rules = [{ ...RULE, id: 'edge-presigner' }, everyone]
    const { findings, server } = await checked({}, { rules, run })
    expect(statuses(findings)).toMatchObject({ 'fix-cors': 'skip', cors: 'warn' })
    expect(server.rules).toBe(rules)
  })

  it('detects a server that accepts rules and drops them', async () => {
    const run = { consent: async () => true }
    const { findings } = await checked({ ignoresRules: true }, { rules: [], run })
    expect(statuses(findings)).toMatchObject({ 'fix-cors': 'fail', cors: 'fail' })
  })
})

describe('doctor, for s3rver,', () => {
  it('finds what the server lacks, and leaves nothing behind', async () => {
    await using bucket = await startReal(startS3rver)
    const findings = await findingsOf(bucket.variables, { upkeep: true })
    expect(statuses(findings)).toMatchObject({
      upload: 'pass',
      read: 'pass',
      'upload-key': 'warn',
      private: 'pass',
      acl: 'pass',
      'public-access-block': 'skip',
      'conditional-writes': 'warn',
      checksums: 'warn',
      'post-policies': 'pass',
      parts: 'pass',
      'key-spelling': 'warn',
      'list-uploads': 'warn',
      'list-objects': 'pass',
      'clean-up': 'pass',
    })
    expect(await bucket.files()).toEqual([])
    expectNoSecrets(JSON.stringify(findings), bucket.secrets)
  })

  it.each([
    ['a wrong secret', { S3_SECRET_ACCESS_KEY: 'wrong' }, /SignatureDoesNotMatch/],
    ['an unknown key', { S3_ACCESS_KEY_ID: 'UNKNOWN' }, /InvalidAccessKeyId/],
  ])('detects %s', async (_, wrong, said) => {
    await using bucket = await startReal(startS3rver)
    const findings = await findingsOf({ ...bucket.variables, ...wrong })
    expect(findings.find(({ check }) => check === 'bucket.credentials')).toMatchObject({
      status: 'fail',
      message: expect.stringMatching(said),
    })
  })
})

describe('doctor, for the simulated R2,', () => {
  it('passes the settings for R2, and waits for its limit of one write per second', async () => {
    await using bucket = await startReal(startR2, {
      region: 'auto',
      postUploads: false,
      normalizesKeys: true,
      conditionalPut: true,
      conditionalReplace: true,
    })
    const findings = await findingsOf(bucket.variables, { upkeep: true })
    expect(statuses(findings)).toMatchObject({
      upload: 'pass',
      private: 'pass',
      acl: 'pass',
      'public-access-block': 'skip',
      'conditional-writes': 'pass',
      'conditional-replace': 'pass',
      checksums: 'pass',
      'post-policies': 'pass',
      parts: 'pass',
      'conditional-complete': 'pass',
      'list-uploads': 'warn',
      'list-objects': 'pass',
      'clean-up': 'pass',
    })
    expect(await bucket.files()).toEqual([])
  })

  it('detects settings that are not for R2', async () => {
    await using bucket = await startReal(startR2, { region: 'auto' })
    expect(statuses(await findingsOf(bucket.variables))).toMatchObject({
      'post-policies': 'fail',
      'key-spelling': 'fail',
    })
  })
})

describeWith([RADOSGW], 'doctor, for Ceph RGW,', () => {
  let bucket: Awaited<ReturnType<typeof startReal>>
  beforeAll(async () => {
    bucket = await startReal(sharedCeph)
  })
  afterAll(() => bucket?.[Symbol.asyncDispose]())

  it('finds an upload pair that can read what it owns, and leaves nothing behind', async () => {
    const findings = await findingsOf(bucket.variables, { upkeep: true })
    const { 'clean-up': cleaned, ...found } = statuses(findings)
    expect(found).toMatchObject({
      upload: 'pass',
      read: 'pass',
      'upload-key': 'fail',
      private: 'pass',
      acl: 'pass',
      'public-access-block': 'pass',
      'post-policies': 'pass',
      'list-parts': 'pass',
      abort: 'pass',
      'key-spelling': 'pass',
      'list-uploads': 'warn',
      'list-objects': 'pass',
    })
    expect(cleaned).toBe('pass')
    expect(await bucket.keys()).toEqual([])
    expectNoSecrets(JSON.stringify(findings), bucket.secrets)
  })

  it('finds that its SQLite store answers ListMultipartUploads with nothing, also to the owner', async () => {
    const { S3_ACCESS_KEY_ID = '', S3_SECRET_ACCESS_KEY = '' } = bucket.variables
    const keys = { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY }
    const credentials = { ...keys, sessionToken: null, expiresAt: Infinity }
    const walker = { credentials, name: 'S3_WALK' }
    const findings = await findingsOf(bucket.variables, { upkeep: true, walker })
    expect(findings.find(({ check }) => check === 'bucket.list-uploads')).toMatchObject({
      status: 'warn',
      message: 'Not supported: the list of unfinished uploads lacks one that has just begun.',
      fix: expect.stringMatching(/AbortIncompleteMultipartUpload/),
    })
    expect(findings.find(({ check }) => check === 'bucket.list-objects')?.message).toMatch(
      /^The access key S3_WALK lists/,
    )
    expect(await bucket.keys()).toEqual([])
  })

  it('detects an upload pair that cannot read, and that nothing blocks public ACLs', async () => {
    // RGW refuses such a policy while BlockPublicPolicy is on.
    await bucket.s3.send(new DeletePublicAccessBlockCommand({ Bucket: bucket.name }))
    await bucket.denyReading()
    expect(statuses(await findingsOf(bucket.variables))).toMatchObject({
      'upload-key': 'pass',
      copy: 'pass',
      private: 'pass',
      acl: 'fail',
      'public-access-block': 'warn',
    })
  })

  it('writes CORS rules before the existing ones', async () => {
    const Bucket = bucket.name
    const foreign = { AllowedOrigins: ['https://shop.example.com'], AllowedMethods: ['GET'] }
    const CORSConfiguration = { CORSRules: [foreign] }
    await bucket.s3.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration }))
    expect(statuses(await findingsOf(bucket.variables))).toMatchObject({ cors: 'fail' })
    const findings = await findingsOf(bucket.variables, { consent: async () => true })
    expect(statuses(findings)).toMatchObject({ 'fix-cors': 'pass', cors: 'pass' })
    const { CORSRules } = await bucket.s3.send(new GetBucketCorsCommand({ Bucket }))
    expect(CORSRules).toMatchObject([{ AllowedOrigins: [ORIGIN] }, foreign])
  })
})

describe('npx edge-presigner doctor', () => {
  // @threat doctor-log-secrets
  it('prints a table and exits with 0 when nothing fails, even if something warns', async () => {
    await using server = await startWrongServer({ ifNoneMatch: 'ignored' })
    const { code, stdout, stderr } = await runDoctor(
      variables(server.endpoint, { conditionalPut: false }),
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^ {2}pass {2}private {15}\s+Reading and listing/m)
    expect(stdout).toMatch(/^ {2}warn {2}conditional-writes\s.*\n\s+Fix: /m)
    expect(stdout).toMatch(/^\d+ pass, 1 warn, 0 fail, \d+ skip\. Nothing failed\.$/m)
    expectNoSecrets(stdout)
  })

  // @threat doctor-report-names
  it('prints a result to publish with --report, as Markdown or JSON, and nothing else', async () => {
    await using server = await startWrongServer({ publicObjects: true })
    await using worker = await startWorker()
    const settings = { ...variables(server.endpoint), ACME_SETTING: 'acme-value' }
    const args = ['--url', worker.url, '--report']
    const markdown = await runDoctor(settings, ...args)
    const json = await runDoctor(settings, ...args, '--json')
    for (const { code, stdout, stderr } of [markdown, json]) {
      expect(code).toBe(1)
      expect(stderr).toBe(
        'A check failed. Run `npx edge-presigner doctor` without --report to see why.\n',
      )
      expectNoSecrets(stdout, ['127.0.0.1', 'example.com', 'files', 'S3', 'us-east-1', 'acme'])
    }
    expect(markdown.stdout).toMatch(/^edge-presigner [\d.]+, Node [\d.]+, \d{4}-\d\d-\d\d\n/)
    expect(markdown.stdout).toContain('| private | fail |')
    const { buckets, worker: checks } = JSON.parse(json.stdout)
    expect(buckets).toMatchObject([{ provider: 'Another server' }])
    expect(checks).toContainEqual(expect.objectContaining({ check: 'health' }))
  })

  it('exits with 1 when something fails, and prints the same as JSON', async () => {
    await using server = await startWrongServer({ publicObjects: true })
    const { code, stdout, stderr } = await runDoctor(variables(server.endpoint), '--json')
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ format: 1, ok: false, counts: { fail: 1, warn: 0 } })
    expect(Object.keys(report)).toEqual(['format', 'ok', 'counts', 'findings'])
    for (const finding of report.findings)
      expect(Object.keys(finding).toSorted()).toEqual([
        'check',
        'fix',
        'message',
        'status',
        'subject',
      ])
    expectNoSecrets(stdout)
  })

  // @threat doctor-leftovers
  it('deletes what it has created when Ctrl-C stops it', async () => {
    await using server = await startWrongServer()
    const settings = variables(server.endpoint)
    const program = await startDoctor(settings)
    server.onRequest = (_, key) => {
      if (key.endsWith('once.txt') && server.objects().length > 0)
        process.kill(program.pid, 'SIGINT')
    }
    const { code, stdout, stderr } = await program.ended
    expect(code).toBe(130)
    expect(stderr).toContain('deleting everything that doctor created')
    expect(stdout).not.toContain('key-spelling')
    expect(server.objects()).toEqual([])
  })

  it('checks a deployed Worker whose page needs the bucket, and writes rules for both', async () => {
    await using bucket = await startWrongServer()
    await using worker = await startWorker()
    const args = ['--url', worker.url, '--fix-cors', '--yes', '--json']
    const { code, stdout, stderr } = await runDoctor(variables(bucket.endpoint), ...args)
    const { findings } = JSON.parse(stdout)
    const checks = findings.map((one: Finding) => `${one.check} ${one.status}`)
    expect(checks).toContain('bucket.fix-cors pass')
    expect(checks).toContain('url.health pass')
    expect(code).toBe(0)
    expect(stderr).toContain(worker.url)
    expect(bucket.rules[0]?.origins).toEqual([ORIGIN, worker.url])
  })

  it('checks with UPKEEP that the access key of upkeepCredentials lists and aborts', async () => {
    await using bucket = await startWrongServer({ walkerOnly: true })
    const settings = {
      ...variables(bucket.endpoint, { upkeepCredentials: 'S3_WALK' }),
      UPKEEP: JSON.stringify({ mode: 'report' }),
      S3_WALK_ACCESS_KEY_ID: WALKER,
      S3_WALK_SECRET_ACCESS_KEY: 'walker/secret+0123456789',
    }
    const { code, stdout } = await runDoctor(settings)
    expect(stdout).toMatch(/pass {2}list-uploads +Supported/)
    expect(stdout).toMatch(/pass {2}list-objects +The access key S3_WALK lists/)
    expect(code).toBe(0)
    expect(bucket.uploads()).toEqual([])
    expectNoSecrets(stdout, [WALKER])
  })

  it('writes no rules when it cannot ask the user', async () => {
    await using bucket = await startWrongServer()
    bucket.rules = []
    const { code, stdout } = await runDoctor(variables(bucket.endpoint), '--fix-cors')
    expect(code).toBe(1)
    expect(stdout).toContain('"AllowedOrigins"')
    expect(stdout).toMatch(/fail {2}fix-cors +Nothing was written/)
    expect(bucket.rules).toEqual([])
  })

  it('checks the bucket of an env file that has nothing else, and shows its whole endpoint', async () => {
    await using bucket = await startWrongServer()
    const endpoint = `${bucket.endpoint}/files`
    const { BUCKETS } = variables(endpoint)
    const rest = variables(bucket.endpoint)
    const only = { ...rest, BUCKETS, SIGNING_SECRETS: '', API_KEYS: '', CORS_ORIGINS: '' }
    const { code, stdout } = await runDoctor(only)
    expect(code).toBe(1)
    expect(stdout).toMatch(/fail {2}valid +SIGNING_SECRETS is missing/)
    expect(stdout).toContain(`Bucket files (files at ${endpoint})`)
    expect(stdout).toMatch(/warn {2}endpoint +`endpoint` contains the name/)
    expect(stdout).toMatch(/pass {2}reachable/)
    expectNoSecrets(stdout)
  })

  it('checks no bucket whose own settings are invalid, and none that is not named', async () => {
    await using bucket = await startWrongServer()
    const asked: string[] = []
    bucket.onRequest = (method) => asked.push(method)
    const broken = { ...variables(bucket.endpoint), S3_SECRET_ACCESS_KEY: '' }
    const invalid = await runDoctor(broken)
    expect(invalid.code).toBe(1)
    expect(invalid.stdout).toMatch(/fail {2}valid +S3_SECRET_ACCESS_KEY is missing/)
    expect(invalid.stdout).toMatch(/skip {2}all +A bucket's own settings/)
    const unknown = await runDoctor(variables(bucket.endpoint), '--bucket', 'photos')
    expect(unknown).toMatchObject({ code: 1, stderr: '--bucket: there are only files.\n' })
    expect(asked).toEqual([])
  })

  it('refuses an unknown option, and shows the usage', async () => {
    const { code, stdout, stderr } = await runDoctor({}, '--fast')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('npx edge-presigner doctor [--env-file FILE]')
    expect(stderr).not.toContain('    at ')
    const stripped = await runDoctor({}, 'https://files.example.com')
    expect(stripped.stderr).toContain('write -- before the options: npm run doctor -- --url URL.')
  })
})

/** A real server with its bucket, and the AWS SDK with the owner's keys. */
async function startReal(
  start: (options: S3ServerOptions) => Promise<S3Server>,
  table: object = {},
) {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const server = await start({ port: 0, directory, corsOrigins: [ORIGIN] })
  const s3 = sdkClient(server, server)
  const { endpoint, bucket: Bucket, accessKeyId, secretAccessKey, writer } = server
  const settings = {
    ...variables(endpoint, {
      bucket: Bucket,
      conditionalPut: false,
      conditionalReplace: false,
      conditionalComplete: false,
      ...table,
    }),
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
    S3_WRITE_ACCESS_KEY_ID: writer.accessKeyId,
    S3_WRITE_SECRET_ACCESS_KEY: writer.secretAccessKey,
  }
  return {
    s3,
    name: Bucket,
    secrets: [secretAccessKey, writer.secretAccessKey],
    variables: settings,
    /** Returns the keys that the owner can list. */
    async keys(): Promise<string[]> {
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }))
      return Contents.map(({ Key = '' }) => Key)
    },
    /** Returns the files of s3rver, which stores objects and uploads in files. */
    async files(): Promise<string[]> {
      const entries = await readdir(directory, { recursive: true, withFileTypes: true })
      return entries
        .filter((entry) => entry.isFile() && !/\.(?:xml|json)$/.test(entry.name))
        .map(({ parentPath, name }) => join(parentPath, name))
    },
    /** On Ceph, a user owns its uploads, and can read them unless a policy denies it. */
    async denyReading(): Promise<void> {
      const objects = `arn:aws:s3:::${Bucket}/*`
      const user = (name: string) => ({ AWS: [`arn:aws:iam:::user/${name}`] })
      const allow = { Effect: 'Allow', Resource: [objects, `arn:aws:s3:::${Bucket}`] }
      const Policy = JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { ...allow, Effect: 'Deny', Principal: user('writer'), Action: ['s3:GetObject'] },
          { ...allow, Principal: user('writer'), Action: ['s3:PutObject'] },
          { ...allow, Principal: user('owner'), Action: ['s3:*'] },
        ],
      })
      await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }))
    },
    async [Symbol.asyncDispose]() {
      s3.destroy()
      await server.close()
      await rm(directory, { recursive: true })
    },
  }
}
