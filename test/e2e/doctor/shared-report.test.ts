import { describe, expect, it } from 'vitest'
import { CHECKS as BUCKET_CHECKS } from '../../../cli/doctor/bucket.ts'
import type { Finding } from '../../../cli/doctor/report.ts'
import {
  providerAt,
  type SharedReport,
  sharedMarkdown,
  sharedReportOf,
} from '../../../cli/doctor/shared-report.ts'
import { checkWorker, CHECKS as WORKER_CHECKS } from '../../../cli/doctor/worker.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { findingsOf, patientRequests, type Variables } from './run.ts'
import { GOOD_RULES, startWrongServer } from './wrong-server.ts'
import { startWorker } from './wrong-worker.ts'

const NOW = new Date('2026-11-28T09:10:11Z')

const finding = (check: string, result: Partial<Finding> = {}): Finding => ({
  check,
  subject: 'files',
  status: 'pass',
  message: 'fine',
  fix: null,
  ...result,
})

const reportOf = (
  findings: readonly Finding[],
  buckets = [{ alias: 'files', origin: 'https://s3.eu-west-1.amazonaws.com' }],
): SharedReport => sharedReportOf({ findings, buckets, version: '0.1.0', now: NOW })

describe('the provider of a result', () => {
  it.each([
    ['https://s3.eu-central-1.amazonaws.com', 'AWS S3'],
    ['https://acme.s3.cn-north-1.amazonaws.com.cn', 'AWS S3'],
    ['https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com', 'Cloudflare R2'],
    ['https://s3.us-west-004.backblazeb2.com', 'Backblaze B2'],
    ['https://s3.eu-central-1.wasabisys.com', 'Wasabi'],
  ])('of %s is %s', (origin, provider) => {
    expect(providerAt(origin)).toBe(provider)
  })

  it.each([
    ['an own host', 'https://minio.acme.example'],
    ['a host that only looks like one', 'https://amazonaws.com.acme.example'],
    ['a host that ends like one', 'https://acmeamazonaws.com'],
    ['a provider in the path', 'https://acme.example/s3.amazonaws.com'],
    ['an address', 'http://10.0.0.7:9000'],
    ['no URL', 'acme'],
  ])('is unknown for %s', (_, origin) => {
    expect(providerAt(origin)).toBe('Another server')
  })
})

describe('a result to publish', () => {
  it('has the checks of each bucket and of the Worker, without those of the settings', () => {
    const findings = [
      finding('settings.access', { status: 'warn' }),
      finding('bucket.clean-up'),
      finding('bucket.reachable'),
      finding('bucket.reachable', { subject: 'photos', status: 'fail' }),
      finding('url.health', { subject: 'https://files.example' }),
    ]
    const report = reportOf(findings, [
      { alias: 'files', origin: 'https://s3.eu-west-1.amazonaws.com' },
      { alias: 'photos', origin: 'https://rgw.example' },
    ])
    const row = (check: string, status = 'pass') => ({
      check,
      status,
      supported: null,
      response: null,
    })
    expect(report).toEqual({
      format: 1,
      date: '2026-11-28',
      versions: { 'edge-presigner': '0.1.0', node: process.versions.node },
      buckets: [
        { provider: 'AWS S3', checks: [row('reachable'), row('clean-up')] },
        { provider: 'Another server', checks: [row('reachable', 'fail')] },
      ],
      worker: [row('health')],
    })
  })

  it('says what is supported, and with which response', () => {
    const { buckets } = reportOf([
      finding('bucket.copy', { message: "An upload URL can't copy: 403 AccessDenied." }),
      finding('bucket.checksums', { message: 'Supported: refused (400 BadDigest).' }),
      finding('bucket.post-policies', { message: 'Not supported, as the settings say: no.' }),
      finding('bucket.list-parts', { message: 'Supported, but off: (200).' }),
    ])
    expect(buckets[0]?.checks).toMatchObject([
      { check: 'copy', supported: null, response: '403 AccessDenied' },
      { check: 'checksums', supported: true, response: '400 BadDigest' },
      { check: 'post-policies', supported: false, response: null },
      { check: 'list-parts', supported: true, response: '200' },
    ])
  })

  it('joins equal rows, so that it does not tell the number of origins', () => {
    const { buckets } = reportOf([
      ...['a', 'b', 'c'].map((name) => finding('bucket.cors', { message: `${name}: fine.` })),
      finding('bucket.cors', { status: 'warn' }),
    ])
    expect(buckets[0]?.checks.map(({ status }) => status)).toEqual(['pass', 'warn'])
  })

  it('is a table for each bucket and one for the Worker', () => {
    const text = sharedMarkdown(
      reportOf([
        finding('bucket.checksums', { message: 'Supported: refused (400 BadDigest).' }),
        finding('bucket.parts', { status: 'fail' }),
        finding('url.closed'),
      ]),
    )
    expect(text).toBe(
      [
        `edge-presigner 0.1.0, Node ${process.versions.node}, 2026-11-28`,
        '',
        '### AWS S3',
        '',
        '| Check | Result |',
        '|---|---|',
        '| checksums | pass, supported (400 BadDigest) |',
        '| parts | fail |',
        '',
        '### The deployed Worker',
        '',
        '| Check | Result |',
        '|---|---|',
        '| closed | pass |',
      ].join('\n'),
    )
  })

  it('says when no bucket could be checked', () => {
    const text = sharedMarkdown(reportOf([finding('settings.valid', { status: 'fail' })], []))
    expect(text).toContain('No bucket was checked')
  })
})

/** Expects each value to come from a list, and nothing of `secrets` in either form. */
function expectClosed(report: SharedReport, secrets: readonly string[]): void {
  const names = new Set<string>([...BUCKET_CHECKS, ...WORKER_CHECKS])
  const checks = [...report.buckets.flatMap(({ checks }) => checks), ...(report.worker ?? [])]
  expect(checks.length).toBeGreaterThan(0)
  for (const { check, status, supported, response } of checks) {
    expect(names).toContain(check)
    expect(['pass', 'warn', 'fail', 'skip']).toContain(status)
    expect([true, false, null]).toContain(supported)
    expect(response ?? '403 AccessDenied').toMatch(/^[1-5]\d\d(?: [A-Z]\w+)?$/)
  }
  for (const text of [JSON.stringify(report), sharedMarkdown(report)])
    for (const secret of secrets) expect(text.toLowerCase()).not.toContain(secret.toLowerCase())
}

// @threat doctor-report-names
describe('a result to publish names nothing', () => {
  const CANARY = 'Canary7f3a'

  it('of findings that have a secret in every text', () => {
    const text = `${CANARY}: 403 ${CANARY}. (403 ${CANARY}) https://${CANARY}.example 123456789012`
    const hostile = (check: string) =>
      finding(check, { subject: CANARY, message: text, fix: text, status: 'fail' })
    const report = reportOf(
      [
        ...BUCKET_CHECKS.map((name) => hostile(`bucket.${name}`)),
        ...WORKER_CHECKS.map((name) => hostile(`url.${name}`)),
        ...['settings.unknown', `bucket.${CANARY}`, `url.${CANARY}`, CANARY].map(hostile),
      ],
      [{ alias: CANARY, origin: `https://${CANARY}.s3.${CANARY}.amazonaws.com` }],
    )
    expect(report.buckets[0]?.checks).toHaveLength(BUCKET_CHECKS.length)
    expectClosed(report, [CANARY, '123456789012'])
  })

  const SECRETS = {
    S3_ACCESS_KEY_ID: 'READERKEY',
    S3_SECRET_ACCESS_KEY: `${CANARY}/reader-secret`,
    TENANT7_ACCESS_KEY_ID: 'WRITERKEY',
    TENANT7_SECRET_ACCESS_KEY: `${CANARY}/writer-secret`,
    SIGNING_SECRETS: `k1:${CANARY}0123456789abcdef0123456789abcdef`,
    API_KEYS: JSON.stringify([
      { id: 'acmekey', sha256: 'a'.repeat(64), scopes: ['files:read'], prefix: 'acmeprefix/' },
    ]),
    CORS_ORIGINS: '["https://acmeapp.example.com", "https://acmeother.example.com"]',
  }
  const variablesOf = (endpoint: string, bucket: string): Variables => ({
    ...SECRETS,
    BUCKETS: JSON.stringify({
      acmealias: {
        endpoint,
        publicEndpoint: endpoint.replace('127.0.0.1', 'localhost'),
        region: 'acme-region-1',
        bucket,
        credentials: 'S3',
        uploadCredentials: 'TENANT7',
      },
    }),
  })
  const FORBIDDEN = [
    ...[CANARY, 'READERKEY', 'WRITERKEY', 'TENANT7', 'S3_', 'acme', 'example.com', 'a'.repeat(64)],
    ...['127.0.0.1', 'localhost', 'eu-west-1', 'http', 'X-Amz', '123456789012', 'files'],
  ]

  it.each([
    ['correct', 'files', {}],
    ['open to everyone', 'files', { publicObjects: true, publicList: true, copies: true }],
    ['without optional features', 'files', { forms: 'refused', parts: 'refused' }],
    ['that keeps what doctor writes', 'files', { denies: 'delete' }],
    ['without the bucket', 'acmebucket', {}],
    ['with secrets in its errors', 'files', { refusesAllWith: [403, CANARY] }],
    ['that redirects', 'files', { redirectsTo: `https://acme.example.com/?token=${CANARY}` }],
    ['that is a web page', 'files', { html: true }],
  ] as const)('of a bucket on a server %s', async (_, bucket, switches) => {
    await using server = await startWrongServer(switches)
    server.rules = GOOD_RULES.map((rule) => ({ ...rule, origins: ['https://acmeapp.example.com'] }))
    const findings = await findingsOf(variablesOf(server.endpoint, bucket))
    const told = JSON.stringify(findings).toLowerCase()
    expect(told).toMatch(/acme/) // or this test would prove nothing
    const { port } = new URL(server.endpoint)
    const report = reportOf(findings, [{ alias: 'acmealias', origin: server.endpoint }])
    expectClosed(report, [...FORBIDDEN, port])
  })

  it('of a Worker that puts secrets into every answer', async () => {
    await using worker = await startWorker((path) => ({
      status: path === '/healthz' ? 503 : 200,
      headers: { Server: CANARY, 'Access-Control-Allow-Origin': `https://${CANARY}.example` },
      body: {
        code: 'misconfigured',
        issues: [{ path: `BUCKETS.acmealias.${CANARY}`, message: `is 403 ${CANARY}. (403 acme)` }],
        info: { version: CANARY },
      },
    }))
    const settings = variablesOf('https://s3.example.com', 'acmebucket')
    const loaded = loadEnvironment({ ...settings, FILE_INDEX: {}, RATE_LIMITER: {} })
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
    const findings: Finding[] = []
    await checkWorker({
      url: worker.url,
      settings: loaded.settings,
      version: '0.1.0',
      requests: patientRequests(),
      tell: (...found) => findings.push(...found),
    })
    expect(JSON.stringify(findings)).toContain(CANARY)
    const report = reportOf(findings, [])
    expectClosed(report, [...FORBIDDEN, worker.url])
  })
})
