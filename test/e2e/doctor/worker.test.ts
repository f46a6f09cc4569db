import { describe, expect, it } from 'vitest'
import type { Finding, Status } from '../../../cli/doctor/report.ts'
import { checkWorker, fixFor } from '../../../cli/doctor/worker.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { DEPLOY_ADVICE } from '../../../src/worker/variables.ts'
import { readPage } from '../../docs/support/markdown.ts'
import { startBuiltWorker, UNREACHABLE } from '../built-worker.ts'
import { type Hangs, ORIGIN, patientRequests, statuses, type Variables, variables } from './run.ts'
import { startWorker, WORKER_HEADERS, type Wrong } from './wrong-worker.ts'

/** Runs doctor for the Worker at `url`, with requests to `realUrl`. */
async function findingsOf(
  url: string,
  settings: Variables | null,
  { realUrl = url, hangs }: { realUrl?: string; hangs?: Hangs } = {},
): Promise<Finding[]> {
  const requests = patientRequests(hangs)
  const loaded = loadEnvironment({ ...settings, FILE_INDEX: {}, RATE_LIMITER: {} })
  const findings: Finding[] = []
  await checkWorker({
    url,
    settings: loaded.ok ? loaded.settings : null,
    version: '0.1.0',
    requests: { send: (asked, options) => requests.send(asked.replace(url, realUrl), options) },
    tell: (...found) => findings.push(...found),
  })
  return findings
}

const good = variables('https://s3.example.com')

/** A Worker that reports one issue of its settings. */
const unhealthy =
  (issue: { readonly path: string; readonly message: string }): Wrong =>
  (path) =>
    path === '/healthz'
      ? { status: 503, body: { code: 'misconfigured', issues: [issue] } }
      : undefined

describe('doctor --url', () => {
  it('passes a correct Worker', async () => {
    await using worker = await startWorker()
    const findings = await findingsOf(worker.url, good)
    expect(statuses(findings)).toEqual({
      health: 'pass',
      images: 'pass',
      headers: 'pass',
      closed: 'pass',
      cors: 'pass',
      version: 'pass',
      'link-host': 'skip',
    })
    expect(findings.every(({ subject }) => subject === worker.url)).toBe(true)
  })

  it.each<[what: string, check: string, status: Status, said: RegExp, Wrong, Variables?]>([
    [
      'invalid settings',
      'health',
      'fail',
      /^JWT\.issuer is missing$/,
      unhealthy({ path: 'JWT.issuer', message: 'is missing' }),
    ],
    [
      'a missing secret, without the advice that is in its fix',
      'health',
      'fail',
      /^S3_ACCESS_KEY_ID is missing\.$/,
      unhealthy({ path: 'S3_ACCESS_KEY_ID', message: `is missing. ${DEPLOY_ADVICE}` }),
    ],
    [
      'a login in front',
      'health',
      'fail',
      /redirects, as a login/,
      () => ({
        status: 302,
        headers: { Location: 'https://login.example/?token=hidden' },
      }),
    ],
    [
      'a web page',
      'health',
      'fail',
      /404 with a web page/,
      () => ({
        status: 404,
        headers: { 'Content-Type': 'text/html' },
      }),
    ],
    ['something else', 'health', 'fail', /something else/, () => ({ body: { status: 'up' } })],
    [
      'no edge cache',
      'health',
      'warn',
      /fetches every link/,
      (path) =>
        path === '/healthz'
          ? { body: { status: 'ok', edgeCache: false }, headers: WORKER_HEADERS }
          : undefined,
    ],
    [
      'a warning of /healthz',
      'health',
      'warn',
      /webhooks are not queued/,
      (path) =>
        path === '/healthz'
          ? {
              body: { status: 'ok', edgeCache: true, warnings: ['webhooks are not queued'] },
              headers: WORKER_HEADERS,
            }
          : undefined,
    ],
    [
      'a compatibility flag that is off',
      'health',
      'warn',
      /fetch is not strictly public/,
      (path) =>
        path === '/healthz'
          ? {
              body: { status: 'ok', edgeCache: true, warnings: ['fetch is not strictly public'] },
              headers: WORKER_HEADERS,
            }
          : undefined,
    ],
    [
      'sizes of images without the binding',
      'health',
      'warn',
      /images are not resized/,
      (path) =>
        path === '/healthz'
          ? {
              body: { status: 'ok', edgeCache: true, warnings: ['images are not resized'] },
              headers: WORKER_HEADERS,
            }
          : undefined,
    ],
    [
      'a class of Durable Objects that is missing',
      'health',
      'warn',
      /grants need Durable Objects/,
      (path) =>
        path === '/healthz'
          ? {
              body: { status: 'ok', edgeCache: true, warnings: ['grants need Durable Objects'] },
              headers: WORKER_HEADERS,
            }
          : undefined,
    ],
    [
      'no Images binding',
      'images',
      'skip',
      /because the Worker has no Images binding/,
      (path) =>
        path === '/healthz'
          ? { body: { status: 'ok', edgeCache: true }, headers: WORKER_HEADERS }
          : undefined,
    ],
    [
      'no edge cache for images',
      'images',
      'skip',
      /no edge cache or no Images binding/,
      (path) =>
        path === '/healthz'
          ? { body: { status: 'ok', edgeCache: false }, headers: WORKER_HEADERS }
          : undefined,
    ],
    [
      'missing headers',
      'headers',
      'fail',
      /Cache-Control, X-Request-Id/,
      (path) =>
        path === '/healthz'
          ? {
              body: { status: 'ok', edgeCache: true },
              headers: { ...WORKER_HEADERS, 'Cache-Control': 'max-age=60', 'X-Request-Id': '' },
            }
          : undefined,
    ],
    [
      'a page without its policy',
      'headers',
      'fail',
      /has no Content-Security-Policy/,
      (path) => (path === '/' ? { headers: { 'Content-Type': 'text/html' } } : undefined),
    ],
    [
      'an open list',
      'closed',
      'fail',
      /open to everyone/,
      (path, { method }) =>
        path === '/files' && method === 'GET' ? { body: { files: [] } } : undefined,
    ],
    [
      'an error for a missing credential',
      'closed',
      'warn',
      /500/,
      (path, { method }) => (path === '/files' && method === 'GET' ? { status: 500 } : undefined),
    ],
    [
      'a missing origin',
      'cors',
      'fail',
      /app\.example\.com: /,
      (_, { method }) => (method === 'OPTIONS' ? { status: 404 } : undefined),
    ],
    [
      'every origin',
      'cors',
      'fail',
      /any origin/,
      (_, { method }) =>
        method === 'OPTIONS'
          ? {
              headers: {
                'Access-Control-Allow-Origin': '*',
                'Access-Control-Allow-Headers': '*',
              },
            }
          : undefined,
    ],
    [
      'no origins',
      'cors',
      'skip',
      /CORS_ORIGINS is empty/,
      () => undefined,
      {
        ...good,
        CORS_ORIGINS: '[]',
      },
    ],
    [
      'a different version',
      'version',
      'warn',
      /9\.9\.9/,
      (path) => (path === '/openapi.json' ? { body: { info: { version: '9.9.9' } } } : undefined),
    ],
    [
      'no page',
      'version',
      'skip',
      /serves no/,
      (path) => (path === '/openapi.json' ? { status: 404 } : undefined),
    ],
    [
      'a link host that redirects elsewhere',
      'link-host',
      'fail',
      /status 404/,
      (_, { headers }) => (headers.host?.startsWith('localhost:') ? { status: 404 } : undefined),
    ],
    ['a link host with the API', 'link-host', 'fail', /also serves the API/, () => undefined],
    [
      'a separate link host',
      'link-host',
      'pass',
      /serves only links/,
      (path, { headers }) =>
        headers.host?.startsWith('localhost:') && path !== '/healthz' ? { status: 404 } : undefined,
    ],
  ])('detects %s (%s: %s)', async (...row) => {
    const [, check, status, said, wrong, settings = good] = row
    await using worker = await startWorker(wrong)
    const linked =
      check === 'link-host'
        ? { ...settings, LINK_ORIGIN: worker.url.replace('127.0.0.1', 'localhost') }
        : settings
    const findings = await findingsOf(worker.url, linked)
    const found = findings.find((one) => one.check === `url.${check}` && one.status === status)
    expect(found?.message, JSON.stringify(findings)).toMatch(said)
    expect(JSON.stringify(findings)).not.toContain('hidden')
  })

  it('names `npx edge-presigner dev` as the cause of an open list only on this machine', async () => {
    await using worker = await startWorker((path, { method }) =>
      path === '/files' && method === 'GET' ? { body: { files: [] } } : undefined,
    )
    const closed = (findings: Awaited<ReturnType<typeof findingsOf>>) =>
      findings.find(({ check }) => check === 'url.closed')
    const local = closed(await findingsOf(worker.url, good))
    const remote = closed(
      await findingsOf('https://files.example.com', good, { realUrl: worker.url }),
    )
    expect([local?.fix, remote?.fix]).toEqual([
      expect.stringContaining('npx edge-presigner dev'),
      expect.stringContaining('Remove OPEN_ACCESS'),
    ])
  })

  it('warns about a Worker over http, unless it is on this machine', async () => {
    await using worker = await startWorker()
    const [local] = await findingsOf(worker.url, good)
    const [remote] = await findingsOf('http://files.example.com', good, { realUrl: worker.url })
    const [secure] = await findingsOf('https://files.example.com', good, { realUrl: worker.url })
    expect([local?.status, remote?.status, secure?.status]).toEqual(['pass', 'warn', 'pass'])
    expect(remote?.message).toMatch(/over http\./)
  })

  it('gives up on a Worker that hangs, immediately or later', async () => {
    await using deaf = await startWorker(() => null)
    const findings = await findingsOf(deaf.url, good, { hangs: () => true })
    expect(Object.values(statuses(findings))).toEqual(['fail', ...Array(6).fill('skip')])
    const hangs: Hangs = (_, path) => path === '/openapi.json'
    await using slow = await startWorker((path) => (hangs('GET', path) ? null : undefined))
    expect(statuses(await findingsOf(slow.url, good, { hangs }))).toMatchObject({
      version: 'fail',
      'link-host': 'skip',
    })
  })

  it('skips the checks that need local settings when these are invalid', async () => {
    await using worker = await startWorker()
    expect(statuses(await findingsOf(worker.url, null))).toMatchObject({
      health: 'pass',
      cors: 'skip',
      'link-host': 'skip',
    })
  })

  it('passes the built Worker', async () => {
    const worker = await startBuiltWorker({
      ...UNREACHABLE,
      variables: { CORS_ORIGINS: JSON.stringify([ORIGIN]) },
    })
    try {
      expect(statuses(await findingsOf(worker.origin, good))).toEqual({
        health: 'pass',
        images: 'pass',
        headers: 'pass',
        closed: 'pass',
        cors: 'pass',
        version: 'pass',
        'link-host': 'skip',
      })
      const other = { ...good, CORS_ORIGINS: '["https://other.example"]' }
      expect(statuses(await findingsOf(worker.origin, other))).toMatchObject({ cors: 'fail' })
    } finally {
      await worker.close()
    }
  })
})

describe('a setting whose plugin is not listed', () => {
  it.each(['upkeep', 'notifications', 'uppy'])(
    'is a warning with the line of src/worker.ts to add: %s',
    (name) => {
      const fix = fixFor(`plugin missing: X needs ${name}()`) ?? ''
      const [, line = ''] = /the line (edge\.\S.*\)) to/.exec(fix) ?? []
      expect(readPage('src/worker.ts')).toContain(` ${line},\n`)
    },
  )

  it.each([
    ['JWT needs jwt', 'edge.jwt()'],
    ['IMAGE_WIDTHS needs images', 'edge.links({ images: edge.images() })'],
    ['BUCKETS.files.managedPrefixes needs notifications() or upkeep', 'edge.upkeep()'],
  ])('names the line for: %s()', (text, line) => {
    expect(fixFor(`plugin missing: ${text}()`)).toContain(`Add the line ${line} to`)
  })
})
