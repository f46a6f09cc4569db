import * as z from 'zod/mini'
import type { Warning } from '../../src/errors/warnings.ts'
import { LOCAL_HOSTS } from '../../src/settings/rules.ts'
import type { Settings } from '../../src/settings/settings.ts'
import { withoutDeployAdvice } from '../env-file.ts'
import { FOREIGN_ORIGIN, preflightError, preflightHeaders, sampleOf } from './cors.ts'
import { type Finding, fail, pass, type Result, skip, warn } from './report.ts'
import { type Answer, NoAnswer, type Requests } from './requests.ts'

export interface WorkerOptions {
  /** Where the Worker answers, without a slash at its end. */
  readonly url: string
  /** Null where they are not valid. */
  readonly settings: Settings | null
  /** The installed version. */
  readonly version: string
  readonly requests: Requests
  readonly tell: (...findings: Finding[]) => void
}

const healthSchema = z.union([
  z.object({
    status: z.literal('ok'),
    edgeCache: z.boolean(),
    images: z.optional(z.boolean()),
    warnings: z.optional(z.array(z.string())),
  }),
  z.object({
    code: z.literal('misconfigured'),
    issues: z.array(z.object({ path: z.string(), message: z.string() })),
  }),
])
const openApiSchema = z.object({ info: z.object({ version: z.string() }) })

/** The checks of a Worker, in their order. */
export const CHECKS = [
  'health',
  'images',
  'headers',
  'closed',
  'cors',
  'version',
  'link-host',
] as const

type Check = (typeof CHECKS)[number]

/** What can be seen of a deployed Worker from outside. */
export async function checkWorker(options: WorkerOptions): Promise<void> {
  const { url, settings, requests } = options
  const tell = (name: Check, ...results: Result[]) =>
    options.tell(...results.map((result) => ({ check: `url.${name}`, subject: url, ...result })))
  const [, ...later] = CHECKS

  let health: Answer
  try {
    health = await requests.send(`${url}/healthz`)
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error
    tell(
      'health',
      fail(`/healthz does not answer: ${error.message}`, 'Check the URL and the deploy.'),
    )
    for (const name of later) tell(name, skip('The Worker does not answer.'))
    return
  }
  const results = checkHealth(health, url)
  tell('health', ...results)
  const read = parsed(healthSchema, health)
  if (read === null) {
    for (const name of later) tell(name, skip('The response is not from the Worker.'))
    return
  }
  const tried = async (name: Check, run: () => Promise<Result[]>): Promise<void> => {
    try {
      tell(name, ...(await run()))
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
      tell(name, fail(error.message, 'Run doctor again, and check the log of the Worker.'))
    }
  }
  tell('images', checkImages(read))
  await tried('headers', async () => [checkHeaders(health), ...(await checkPage(options))])
  await tried('closed', async () => [await checkClosed(options)])
  await tried('cors', () => checkCors(options, settings))
  await tried('version', async () => [await checkVersion(options)])
  await tried('link-host', async () => [await checkLinkHost(options, settings)])
}

/** Whether `url` shows the page at `/`, whose own origin then uploads to the buckets. */
export async function servesPage(url: string, requests: Requests): Promise<boolean> {
  try {
    return isPage(await requests.send(`${url}/`))
  } catch (error) {
    if (error instanceof NoAnswer) return false
    throw error
  }
}

const isPage = ({ status, headers }: Answer): boolean =>
  status === 200 && /html/.test(headers.get('Content-Type') ?? '')

function parsed<T>(schema: z.core.$ZodType<T>, { text }: Answer): T | null {
  try {
    const result = z.safeParse(schema, JSON.parse(text))
    return result.success ? result.data : null
  } catch {
    return null
  }
}

const STATE =
  'Export the class, and declare it in wrangler.toml: docs/share.md#set-it-up. Or delete the plugin.'

/** How a plugin is added that is not only its name with parentheses: create/src/files.ts. */
const LINES: Readonly<Record<string, string>> = {
  images: 'links({ images: edge.images() })',
}

/** Returns what to do about a warning of /healthz. */
export function fixFor(warning: string): string | undefined {
  const unlisted = /^plugin missing: .* (\w+)\(\)$/.exec(warning)
  if (unlisted === null) return FIXES[warning]
  const [, name = ''] = unlisted
  return `Add the line edge.${LINES[name] ?? `${name}()`} to the plugins in src/worker.ts, or remove the setting.`
}

const FIXES: Readonly<Record<string, string>> = {
  ['webhooks are not queued' satisfies Warning]:
    'Add the queue of docs/events.md, or remove WEBHOOKS.',
  ['fetch is not strictly public' satisfies Warning]:
    'Add "global_fetch_strictly_public" to compatibility_flags in wrangler.toml.',
  ['images are not resized' satisfies Warning]:
    'Add the [images] block of docs/pictures.md#resize-pictures, or remove IMAGE_WIDTHS.',
  ['grants need Durable Objects' satisfies Warning]: STATE,
  ['drop boxes need Durable Objects' satisfies Warning]: STATE,
  ['upkeep needs Durable Objects' satisfies Warning]: STATE,
}

/** Judges the response of /healthz. */
export function checkHealth(answer: Answer, url: string): Result[] {
  const health = parsed(healthSchema, answer)
  if (health === null) {
    const { status, headers } = answer
    const what =
      status >= 300 && status < 400
        ? 'redirects, as a login does'
        : `answers ${status} with ${/html/i.test(headers.get('Content-Type') ?? '') ? 'a web page' : 'something else'}`
    return [
      fail(
        `/healthz ${what}: this is not the Worker.`,
        'Use the URL of the deployed Worker, and allow /healthz in everything that is in front of it.',
      ),
    ]
  }
  if ('issues' in health)
    return health.issues.map(({ path, message }) =>
      fail(
        `${path} ${withoutDeployAdvice(message)}`.trim(),
        'Set it in wrangler.toml or in .dev.vars, and run `npx edge-presigner deploy`.',
      ),
    )
  const { protocol, hostname } = new URL(url)
  if (protocol !== 'https:' && !LOCAL_HOSTS.includes(hostname))
    return [
      warn(
        '/healthz returns ok, but over http.',
        'Use https. With http, keys, tokens and links are not encrypted.',
      ),
    ]
  return [
    health.edgeCache
      ? pass('/healthz returns ok. The edge cache serves links.')
      : warn(
          '/healthz returns ok, but the Worker fetches every link from the bucket.',
          'Export `Objects`, and add the blocks of docs/configuration.md#cached-copies.',
        ),
    ...(health.warnings ?? []).map((text) =>
      warn(
        `/healthz warns: ${text.slice(0, 200)}.`,
        fixFor(text) ?? 'See docs/troubleshooting.md.',
      ),
    ),
  ]
}

/** Whether links can show resized images. */
function checkImages(health: z.infer<typeof healthSchema>): Result {
  if ('issues' in health) return skip('The settings are not valid.')
  if (health.images) return pass('Links can show resized images.')
  return skip(
    health.edgeCache
      ? 'Links show only originals, because the Worker has no Images binding.'
      : 'Links show only originals, because the Worker has no edge cache or no Images binding.',
    'If you want resized images: docs/pictures.md#resize-pictures.',
  )
}

/** What every answer carries: docs/api.md#headers. */
const HEADERS: Readonly<Record<string, RegExp>> = {
  'Cache-Control': /\bno-store\b/,
  'X-Content-Type-Options': /^nosniff$/,
  'Referrer-Policy': /^no-referrer$/,
  Vary: /\bOrigin\b/,
  'X-Request-Id': /./,
}

function checkHeaders({ headers }: Answer): Result {
  const missing = Object.entries(HEADERS)
    .filter(([name, pattern]) => !pattern.test(headers.get(name) ?? ''))
    .map(([name]) => name)
  return missing.length === 0
    ? pass(`${Object.keys(HEADERS).join(', ')} are as the Worker sends them.`)
    : fail(
        `Something in front of the Worker removes or changes ${missing.join(', ')}.`,
        'Check the rules and transforms of the zone, and any proxy.',
      )
}

/** The page at `/`, if there is one, keeps what was uploaded from running as a script. */
async function checkPage({ url, requests }: WorkerOptions): Promise<Result[]> {
  const page = await requests.send(`${url}/`)
  if (!isPage(page)) return []
  const policy = page.headers.get('Content-Security-Policy') ?? ''
  return [
    /default-src 'none'/.test(policy) && /frame-ancestors 'none'/.test(policy)
      ? pass('The page at / has its Content-Security-Policy.')
      : fail(
          'The page at / has no Content-Security-Policy.',
          'Check the rules of the zone, and any proxy.',
        ),
  ]
}

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

async function checkClosed({ url, requests }: WorkerOptions): Promise<Result> {
  const { status } = await requests.send(`${url}/files?limit=1`)
  if (status >= 200 && status < 300)
    return fail(
      'The list of files is open to everyone.',
      LOOPBACK.test(new URL(url).hostname)
        ? '`npx edge-presigner dev` lets this machine in. Check the deployed Worker with --url.'
        : 'Remove OPEN_ACCESS, and everything that adds credentials in front of the Worker.',
    )
  return status === 401
    ? pass('A request without credentials is refused (401).')
    : warn(
        `The response to a request without credentials has the status ${status}, not 401.`,
        'Check the log of the Worker for this request.',
      )
}

async function checkCors(options: WorkerOptions, settings: Settings | null): Promise<Result[]> {
  if (settings === null) return [skip('The settings are not valid, so the origins are not known.')]
  const { corsOrigins } = settings
  const results = await Promise.all(corsOrigins.map((origin) => checkOrigin(options, origin)))
  const isOpen = (await failureFor(options, FOREIGN_ORIGIN)) === null
  if (isOpen)
    return [
      fail(
        'A page of any origin may call the Worker.',
        'Something in front of the Worker adds CORS headers: remove that.',
      ),
    ]
  return corsOrigins.length === 0
    ? [skip('CORS_ORIGINS is empty; a page of another origin is refused.')]
    : results
}

async function checkOrigin(options: WorkerOptions, origin: string): Promise<Result> {
  const failure = await failureFor(options, sampleOf(origin))
  return failure === null
    ? pass(`${origin} may call the Worker.`)
    : fail(`${origin}: ${failure}.`, 'Add it to CORS_ORIGINS of the deployed Worker, and deploy.')
}

/** Why a page of `origin` can't send what the client sends, or null. */
async function failureFor(
  { url, requests }: WorkerOptions,
  origin: string,
): Promise<string | null> {
  const asked = { origin, method: 'POST', headers: ['authorization', 'content-type'] }
  const answer = await requests.send(`${url}/files/upload-url`, {
    method: 'OPTIONS',
    headers: preflightHeaders(origin, asked.method, asked.headers),
  })
  return preflightError(answer, asked)
}

/** `/openapi.json` is a file of the page, and the only place where the version shows. */
async function checkVersion({ url, version, requests }: WorkerOptions): Promise<Result> {
  const answer = await requests.send(`${url}/openapi.json`)
  const deployed = parsed(openApiSchema, answer)?.info.version
  if (answer.status !== 200 || deployed === undefined)
    return skip('The Worker serves no /openapi.json, which names its version.')
  return deployed === version
    ? pass(`The Worker and this project use version ${version}.`)
    : warn(
        `The Worker is another version (${/^[\w.+-]{1,40}$/.test(deployed) ? deployed : 'unreadable'}) than this project (${version}).`,
        'Run `npx edge-presigner deploy`, or install the version that is deployed.',
      )
}

/** The host of LINK_ORIGIN reaches the Worker, and serves only links. */
async function checkLinkHost(
  { requests }: WorkerOptions,
  settings: Settings | null,
): Promise<Result> {
  if (settings === null) return skip('The settings are not valid.')
  const { linkBase } = settings
  if (linkBase === null)
    return skip(
      'LINK_ORIGIN is not set, so links share the host of the API.',
      'Use a separate host for links: docs/configuration.md#link_origin.',
    )
  const health = await requests.send(`${linkBase}/healthz`)
  if (parsed(healthSchema, health) === null)
    return fail(
      `${linkBase} does not reach the Worker (status ${health.status}).`,
      'Add the host to the Worker as a custom domain.',
    )
  const { status } = await requests.send(`${linkBase}/files?limit=1`)
  return status === 404
    ? pass(`${linkBase} reaches the Worker, and serves only links.`)
    : fail(
        `${linkBase} also serves the API (status ${status}).`,
        'Set LINK_ORIGIN for the deployed Worker, and pass on Host in every proxy.',
      )
}
