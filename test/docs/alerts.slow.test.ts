import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { STATUS_BY_CODE } from '../../src/errors/api-error.ts'
import { WARNINGS } from '../../src/errors/warnings.ts'
import {
  type BuiltWorker,
  type BuiltWorkerOptions,
  startBuiltWorker,
  UNREACHABLE,
} from '../e2e/built-worker.ts'
import { REFUSALS } from '../support/refusals.ts'
import { markedBlock, ROOT, readPage } from './support/markdown.ts'

const PAGE = 'docs/operate.md'
const run = promisify(execFile)

interface Filter {
  readonly key: string
  readonly operator: string
  readonly value: string
}

/** The rows of the table of alerts. A bar in a cell is escaped. */
const alerts = (readPage(PAGE).split('<!-- test: alerts -->\n')[1] ?? '')
  .split('\n\n', 1)
  .join()
  .split('\n')
  .slice(2)
  .map((row) => row.split(/ (?<!\\)\| /).map((cell) => cell.replace(/^\| |\|$/g, '').trim()))
  .map(([name = '', filters = '', condition = '', , help = '']) => ({
    name,
    condition,
    help,
    filters: filters.split(/, (?=`)/).map((filter): Filter => {
      const [, key = '', operator = '', value = ''] =
        /^`(\S+)` ([a-z ]+?)(?: `(.+)`)?$/.exec(filter) ?? []
      return { key, operator, value: value.replaceAll('\\|', '|') }
    }),
  }))

/** Evaluates a filter as Cloudflare's Query Builder documents it. */
function matches({ key, operator, value }: Filter, line: object): boolean {
  const found: unknown = Reflect.get(line, key)
  switch (operator) {
    case 'exists':
      return found !== undefined
    case 'equals':
      return String(found) === value
    case 'matches':
      return typeof found === 'string' && new RegExp(value).test(found)
    case 'greater than':
      return typeof found === 'number' && found > Number(value)
    case 'greater or equals':
      return typeof found === 'number' && found >= Number(value)
    default:
      throw new Error(`${operator} is no operator of the Query Builder.`)
  }
}

const alertsFor = (line: object): string[] =>
  alerts
    .filter(({ filters }) => filters.every((filter) => matches(filter, line)))
    .map(({ name }) => name)

/** Returns the line that the Worker logs for a request. */
async function lineOf(worker: BuiltWorker, path: string): Promise<object> {
  const requestId = (await fetch(worker.origin + path)).headers.get('X-Request-Id') ?? ''
  const line = async () =>
    (await worker.logs()).split('\n').find((each) => each.includes(requestId))
  await expect.poll(line).toBeDefined()
  return JSON.parse((await line()) ?? '') as object
}

describe('the table of alerts', () => {
  const source = readPage('src/http/host.ts')
  const [, members = ''] = /interface LogLine \{\n([^}]+)\}/.exec(source) ?? []
  const keys = [...members.matchAll(/readonly (\w+)/g)].map(([, key = '']) => key)
  const known: Readonly<Record<string, readonly string[]>> = {
    code: Object.keys(STATUS_BY_CODE),
    warning: WARNINGS,
  }

  it('has filters on keys, codes and warnings that exist', () => {
    expect(alerts.length).toBeGreaterThan(10)
    expect(keys).toContain('milliseconds')
    for (const { name, filters, condition } of alerts) {
      for (const { key, value, operator } of filters) {
        // The lines of webhooks have it besides `warning`.
        if (key === 'attempt') expect(readPage('src/plugins/events/cloudflare.ts')).toContain(key)
        else expect(keys, name).toContain(key)
        if (operator === 'exists' || known[key] === undefined) continue
        const values = value.replaceAll(/[$^()]/g, '').split('|')
        for (const each of values) expect(known[key], name).toContain(each)
      }
      expect(condition).toMatch(/^(?:Count|P95 of `milliseconds`) [<>] \d+$/)
    }
  })

  it('groups by keys that exist, and quotes reasons of the log', () => {
    const text = readPage(PAGE)
    const groups = [...text.matchAll(/group by `(\w+)`(?:: `([a-z ]+)`[^,|]*, `([a-z ]+)`)?/g)]
    expect(groups.length).toBeGreaterThan(3)
    for (const [, key = '', ...reasons] of groups) {
      expect(keys).toContain(key)
      for (const reason of reasons) if (reason) expect(REFUSALS).toContain(reason)
    }
  })

  it('matches the lines that the presigner writes', async () => {
    await using stack = new AsyncDisposableStack()
    const start = async (variables: BuiltWorkerOptions['variables']) => {
      const worker = await startBuiltWorker({ ...UNREACHABLE, variables })
      stack.defer(() => worker.close())
      return worker
    }
    const broken = await start({ JWT: '{}' })
    for (const path of ['/files', '/healthz'])
      expect(alertsFor(await lineOf(broken, path))).toEqual(
        expect.arrayContaining(['Settings', 'Errors']),
      )
    const worker = await start({})
    expect(alertsFor(await lineOf(worker, '/files'))).toEqual(['Refused logins', 'Slow', 'Silence'])
    const forged = '/i/files/a.png?exp=9999999999&kid=test&sig=AAAA'
    expect(alertsFor(await lineOf(worker, forged))).toContain('Forged links')
    expect(alertsFor(await lineOf(worker, '/healthz'))).toEqual(['Slow', 'Silence'])
    const lost = {
      warning: 'webhook lost',
      endpoint: 'a.example',
      event: 'e',
      reason: 'status 410',
    }
    expect(alertsFor(lost)).toEqual(['Lost events', 'Warnings'])
    const failed = { warning: 'webhook not delivered', attempt: 11, retryInSeconds: 60 }
    expect(alertsFor(failed)).toEqual(['Events that fail', 'Warnings'])
    expect(alertsFor({ ...failed, attempt: 1 })).toEqual(['Warnings'])
    expect(alertsFor({ warning: 'rate limit not applied: it threw' })).toContain('Protection')
  })
})

describe('the other tools of docs/operate.md', () => {
  const stack = new AsyncDisposableStack()
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
  })
  afterAll(() => stack.disposeAsync())

  /** Runs the program of the page with Cloudflare's documented responses. */
  async function checkDeadLetters(backlogs: Readonly<Record<string, number>>) {
    await using own = new AsyncDisposableStack()
    const server = createServer(({ url = '', headers }, response) => {
      const [, name] = /^\/accounts\/acc\/queues\/id-(.+)\/metrics$/.exec(url) ?? []
      const isList = url === '/accounts/acc/queues'
      const isAllowed = headers.authorization === 'Bearer tok' && (isList || name !== undefined)
      const result = isList
        ? Object.keys(backlogs).map((each) => ({ queue_id: `id-${each}`, queue_name: each }))
        : { backlog_count: backlogs[name ?? ''], backlog_bytes: 0, oldest_message_timestamp_ms: 0 }
      response.writeHead(isAllowed ? 200 : 403).end(JSON.stringify({ success: true, result }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    own.defer(() => server[Symbol.asyncDispose]())
    const file = join(directory, 'check-dead-letters.mjs')
    await writeFile(file, markedBlock(PAGE, 'dead-letters'))
    const env = {
      PATH: process.env.PATH,
      CLOUDFLARE_ACCOUNT_ID: 'acc',
      CLOUDFLARE_API_TOKEN: 'tok',
      CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    }
    return await run(process.execPath, [file], { env }).then(
      ({ stdout }) => ({ code: 0, stdout }),
      ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
    )
  }

  it('the program fails exactly if a dead letter queue is not empty', async () => {
    const jobs = { 'edge-presigner-jobs': 7 }
    expect(await checkDeadLetters({ ...jobs, 'edge-presigner-jobs-dead': 0 })).toEqual({
      code: 0,
      stdout: 'edge-presigner-jobs-dead: 0\n',
    })
    expect(
      await checkDeadLetters({ 'a-dead': 0, 'edge-presigner-jobs-dead': 2, 'b-dead': 0 }),
    ).toMatchObject({ code: 1 })
    expect(await checkDeadLetters(jobs)).toMatchObject({ code: 1, stdout: '' })
  })

  it('wrangler knows the settings and the option that the page names', async () => {
    const config = join(directory, 'wrangler.toml')
    const [, destinations = ''] = /`(destinations = [^`]+)`/.exec(readPage(PAGE)) ?? []
    await writeFile(
      config,
      `name = "a"\ncompatibility_date = "2026-11-01"\nlogpush = true\n[observability.logs]\nenabled = true\n${destinations}\n`,
    )
    expect(readPage(PAGE)).toContain('`logpush = true`')
    expect(unstable_readConfig({ config })).toMatchObject({
      logpush: true,
      observability: { logs: { destinations: ['my-logs'] } },
    })
    const program = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')
    expect((await run(process.execPath, [program, 'tail', '--help'])).stdout).toContain('--search')
  })
})
