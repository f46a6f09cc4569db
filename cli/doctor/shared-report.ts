import type { Bucket } from '../../src/bucket/bucket.ts'
import { CHECKS as BUCKET_CHECKS } from './bucket.ts'
import type { Finding, Status } from './report.ts'
import { CHECKS as WORKER_CHECKS } from './worker.ts'

/**
 * What one check found. Every value comes from a list in this file or in the checks, so a text of a
 * server or of the settings can't get here.
 */
export interface SharedCheck {
  readonly check: string
  readonly status: Status
  /** Whether the server supports an optional feature; null if the check is about something else. */
  readonly supported: boolean | null
  /** Status and S3's code of the response that the check judged, such as `403 AccessDenied`. */
  readonly response: string | null
}

/** What `--report` prints: docs/doctor.md describes each member. */
export interface SharedReport {
  /** Version of this format. It increases if a member is removed or changes its meaning. */
  readonly format: 1
  /** The day in UTC: `2026-11-28`. */
  readonly date: string
  readonly versions: { readonly 'edge-presigner': string; readonly node: string }
  readonly buckets: readonly { readonly provider: string; readonly checks: SharedCheck[] }[]
  /** The checks of `--url`; null without it. */
  readonly worker: readonly SharedCheck[] | null
}

/** The domains of providers. A host is the provider's if it is the domain or below it. */
const PROVIDERS: readonly (readonly [domain: string, provider: string])[] = [
  ['amazonaws.com', 'AWS S3'],
  ['amazonaws.com.cn', 'AWS S3'],
  ['r2.cloudflarestorage.com', 'Cloudflare R2'],
  ['backblazeb2.com', 'Backblaze B2'],
  ['wasabisys.com', 'Wasabi'],
  ['digitaloceanspaces.com', 'DigitalOcean Spaces'],
  ['storage.googleapis.com', 'Google Cloud Storage'],
  ['linodeobjects.com', 'Akamai (Linode)'],
  ['your-objectstorage.com', 'Hetzner'],
  ['scw.cloud', 'Scaleway'],
  ['storage.tigris.dev', 'Tigris'],
  ['t3.storage.dev', 'Tigris'],
  ['vultrobjects.com', 'Vultr'],
  ['supabase.co', 'Supabase'],
]

const UNKNOWN_PROVIDER = 'Another server'

/** Guesses the provider from the host of an origin. Its result is never a part of the host. */
export function providerAt(origin: string): string {
  const host = URL.parse(origin)?.hostname ?? ''
  const found = PROVIDERS.find(([domain]) => host === domain || host.endsWith(`.${domain}`))
  return found?.[1] ?? UNKNOWN_PROVIDER
}

/** S3's error codes that a report may contain. A server can send anything as a code. */
const S3_CODES: ReadonlySet<string> = new Set([
  ...['AccessDenied', 'AuthorizationHeaderMalformed', 'AuthorizationQueryParametersError'],
  ...['BadDigest', 'ConditionalRequestConflict', 'EntityTooLarge', 'EntityTooSmall'],
  ...['ExpiredRequest', 'ExpiredToken', 'InternalError', 'InvalidAccessKeyId', 'InvalidArgument'],
  ...['InvalidDigest', 'InvalidPart', 'InvalidPolicyDocument', 'InvalidRequest', 'InvalidToken'],
  ...['MalformedPOSTRequest', 'MalformedXML', 'MethodNotAllowed', 'NoSuchBucket', 'NoSuchKey'],
  ...['NoSuchUpload', 'NotImplemented', 'PermanentRedirect', 'PreconditionFailed'],
  ...['RequestTimeTooSkewed', 'RequestTimeout', 'ServiceUnavailable', 'SignatureDoesNotMatch'],
  ...['SlowDown', 'TooManyRequests', 'Unauthorized', 'XAmzContentSHA256Mismatch'],
])

/** A status in a message, in parentheses or after a colon, and the word after it. */
const RESPONSE = /(?:\(|: )([1-5]\d\d)(?: (\w+))?[).]/

function responseIn(message: string): string | null {
  const [, status, code = ''] = RESPONSE.exec(message) ?? []
  if (status === undefined) return null
  return S3_CODES.has(code) ? `${status} ${code}` : status
}

function supportIn(message: string): boolean | null {
  if (message.startsWith('Supported')) return true
  return message.startsWith('Not supported') ? false : null
}

/** The rows of one group, each once: a check of several origins has one row for each result. */
function sharedChecks(
  group: string,
  names: readonly string[],
  findings: readonly Finding[],
): SharedCheck[] {
  const rows = names.flatMap((name) =>
    findings
      .filter(({ check }) => check === `${group}.${name}`)
      .map(({ status, message }) => ({
        check: name,
        status,
        supported: supportIn(message),
        response: responseIn(message),
      })),
  )
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()]
}

export interface SharedOptions {
  readonly findings: readonly Finding[]
  readonly buckets: readonly Pick<Bucket, 'alias' | 'origin'>[]
  /** The installed version. */
  readonly version: string
  readonly now: Date
}

/**
 * Returns a result that can be published. It leaves out the settings and every text: no host,
 * bucket, account, region, alias, origin or name of an access key. Buckets keep their order.
 */
export function sharedReportOf({ findings, buckets, version, now }: SharedOptions): SharedReport {
  const worker = sharedChecks('url', WORKER_CHECKS, findings)
  return {
    format: 1,
    date: now.toISOString().slice(0, 10),
    versions: { 'edge-presigner': version, node: process.versions.node },
    buckets: buckets.map(({ alias, origin }) => ({
      provider: providerAt(origin),
      checks: sharedChecks(
        'bucket',
        BUCKET_CHECKS,
        findings.filter(({ subject }) => subject === alias),
      ),
    })),
    worker: worker.length === 0 ? null : worker,
  }
}

function tableOf(heading: string, checks: readonly SharedCheck[]): string[] {
  const rows = checks.map(({ check, status, supported, response }) => {
    const support = supported === null ? '' : supported ? ', supported' : ', not supported'
    return `| ${check} | ${status}${support}${response === null ? '' : ` (${response})`} |`
  })
  return ['', `### ${heading}`, '', '| Check | Result |', '|---|---|', ...rows]
}

/** Returns the report as Markdown. */
export function sharedMarkdown({ date, versions, buckets, worker }: SharedReport): string {
  return [
    `edge-presigner ${versions['edge-presigner']}, Node ${versions.node}, ${date}`,
    ...(buckets.length === 0
      ? ['', "No bucket was checked, because no bucket's settings are valid."]
      : []),
    ...buckets.flatMap(({ provider, checks }) => tableOf(provider, checks)),
    ...(worker === null ? [] : tableOf('The deployed Worker', worker)),
  ].join('\n')
}
