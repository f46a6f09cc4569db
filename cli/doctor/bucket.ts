import { setTimeout as delay } from 'node:timers/promises'
import type { Address, Bucket, Credentials } from '../../src/bucket/bucket.ts'
import { ApiError } from '../../src/errors/api-error.ts'
import { s3CodeIn } from '../../src/storage/s3.ts'
import { readXml, textOf } from '../../src/storage/xml.ts'
import { counted } from '../counted.ts'
import { type Consent, checkOrigin, fixCors } from './cors.ts'
import { featureChecks } from './features.ts'
import { codeOf, FOLDER, Probe, reasonOf } from './probe.ts'
import { type Finding, fail, pass, type Result, skip, warn } from './report.ts'
import { type Answer, NoAnswer, type Requests } from './requests.ts'
import { upkeepChecks } from './upkeep.ts'

/**
 * What to check: everything; of the bucket on this machine, only what it shares with others; what writes
 * nothing; or only whether the pages of a deployed Worker may use the bucket.
 */
export type Part = 'all' | 'local' | 'dry' | 'deployed'

export interface BucketOptions {
  readonly bucket: Bucket
  readonly part: Part
  /** The names of its pairs in the settings, such as `S3`. */
  readonly names: { readonly reads: string; readonly uploads: string }
  /** Whether UPKEEP is set, and the access key of `upkeepCredentials`, if there is one. */
  readonly upkeep: {
    readonly isOn: boolean
    readonly walker: { readonly credentials: Credentials; readonly name: string } | null
  }
  /** The access key for operations on the bucket itself, instead of the access key that reads. */
  readonly admin: Credentials | undefined
  /** Origins of pages that use the bucket. */
  readonly origins: readonly string[]
  /** Origins of the pages of drop boxes. If one can't use the bucket, that is only a warning. */
  readonly dropBoxOrigins: readonly string[]
  readonly requests: Requests
  /** Requests that continue after the others are stopped. */
  readonly cleaningRequests: Requests
  /** Asks the user before doctor writes CORS rules; undefined writes none. */
  readonly consent: Consent | undefined
  readonly tell: (...findings: Finding[]) => void
}

/** What one check needs. */
export interface BucketContext extends BucketOptions {
  readonly probe: Probe
}

/** A check, by its name without the group. */
export type BucketCheck = readonly [name: string, run: (context: BucketContext) => Promise<Result>]

/** The text of the object that most checks use. */
const TEXT = 'edge-presigner doctor'
const OBJECT = 'object.txt'

/** If one of these checks fails, the others would fail for the same reason. */
const FIRST: readonly BucketCheck[] = [
  ['reachable', reachable],
  ['clock', clock],
  ['credentials', credentials],
  ['upload', upload],
]

const OTHERS: readonly BucketCheck[] = [
  ['read', read],
  ['public-endpoint', publicEndpoint],
  ['upload-key', uploadPair],
  ['copy', copy],
  ['copies', copies],
  ['private', isPrivate],
  ['acl', acl],
  ['public-access-block', publicAccessBlock],
  ...featureChecks,
  ...upkeepChecks,
]

/** The names of OTHERS that belong to a part. */
const PARTS: Readonly<Record<Exclude<Part, 'all'>, readonly string[]>> = {
  local: ['read', 'private', 'parts'],
  dry: ['public-access-block'],
  deployed: [],
}

/** The checks of a bucket, in their order. */
export const CHECKS = [
  ...['own', 'endpoint'],
  ...[...FIRST, ...OTHERS].map(([name]) => name),
  ...['cors', 'fix-cors', 'clean-up'],
]

/** Checks one bucket, and always removes everything that the checks have created. */
export async function checkBucket(options: BucketOptions): Promise<void> {
  const probe = new Probe(options.bucket, options.requests)
  const context = { ...options, probe }
  try {
    await runChecks(context)
  } finally {
    const { objects, uploads } = probe.written
    const left = await probe.cleanUp(options.cleaningRequests)
    if (objects + uploads > 0) tell(context, 'clean-up', cleanUp(left, objects, uploads))
  }
}

async function runChecks(context: BucketContext): Promise<void> {
  const { bucket, part } = context
  const others = OTHERS.filter(([name]) => part === 'all' || PARTS[part].includes(name))
  const names = [...[...FIRST, ...others].map(([name]) => name), 'cors']
  const twice = nameInEndpoint(bucket, 'endpoint') ?? nameInPublicEndpoint(bucket)
  if (twice !== null) tell(context, 'endpoint', twice)
  const after = (name: string) => names.slice(names.indexOf(name) + 1)
  for (const [name, run] of FIRST) {
    const result = await tried(run, context)
    tell(context, name, result)
    if (result.status !== 'fail') continue
    return tellSkipped(context, after(name), `Needs "${name}", which failed.`)
  }
  let silences = 0
  for (const [name, run] of others) {
    const result = await tried(run, context, () => {
      silences += 1
    })
    tell(context, name, result)
    if (silences < 2) continue
    return tellSkipped(context, after(name), 'The server did not respond to two requests.')
  }
  await cors(context)
}

const tell = ({ bucket, tell }: BucketContext, name: string, result: Result): void =>
  tell({ check: `bucket.${name}`, subject: bucket.alias, ...result })

const tellSkipped = (context: BucketContext, names: readonly string[], why: string): void =>
  context.tell(
    ...names.map((name) => ({
      check: `bucket.${name}`,
      subject: context.bucket.alias,
      ...skip(why),
    })),
  )

const nameInPublicEndpoint = ({ name, publicAddress }: Bucket): Result | null =>
  nameInEndpoint({ name, ...publicAddress }, 'publicEndpoint')

/**
 * Warns if an endpoint contains the bucket's name, which the Worker adds itself. A proxy may need
 * the name twice, so this is not an error.
 */
function nameInEndpoint(
  { name, origin, basePath }: Address & Pick<Bucket, 'name'>,
  member: string,
): Result | null {
  const isHost = new URL(origin).hostname.startsWith(`${name}.`.toLowerCase())
  const isPath = basePath.endsWith(`/${name}/`)
  // Path addressing adds the name to the path, and "virtual" to the host.
  const isTwice = isHost ? isPath : basePath.endsWith(`/${name}/${name}/`)
  const isLabelTwice = isHost && origin.toLowerCase().includes(`//${name}.${name}.`.toLowerCase())
  if (!isTwice && !isLabelTwice) return null
  return warn(
    `\`${member}\` contains the name of the bucket, which the Worker adds itself. A server that takes the first name for the bucket stores the objects in a folder ${name}/.`,
    `If this is not the path or the host of a proxy, remove ${name} from \`${member}\`.`,
  )
}

/** Reports a server that does not respond as a finding. */
async function tried(
  run: BucketCheck[1],
  context: BucketContext,
  onSilence: () => void = () => undefined,
): Promise<Result> {
  try {
    return await run(context)
  } catch (error) {
    if (!(error instanceof NoAnswer || error instanceof ApiError)) throw error
    if (error instanceof NoAnswer) onSilence()
    return fail(reasonOf(error), 'Check the server and the network, and run doctor again.')
  }
}

/** Checks the CORS rules for each origin, and writes them first if the user wants that. */
async function cors(context: BucketContext): Promise<void> {
  const { probe, admin, bucket, consent, part } = context
  const onlyDropBoxes = context.dropBoxOrigins.filter((origin) => !context.origins.includes(origin))
  const origins = [...context.origins, ...onlyDropBoxes]
  if (origins.length === 0)
    return tell(context, 'cors', skip('CORS_ORIGINS is empty, so no page uses this bucket.'))
  const check = () =>
    Promise.all(
      origins.map((origin) => tried(() => checkOrigin(probe, origin, part !== 'dry'), context)),
    )
  let results = await check()
  if (consent !== undefined && results.some(({ status }) => status !== 'pass')) {
    const credentials = admin ?? bucket.credentials
    const fixed = await tried(() => fixCors(probe, credentials, origins, consent), context)
    tell(context, 'fix-cors', fixed)
    if (fixed.status === 'pass') results = await untilRulesHold(check)
  }
  for (const [i, result] of results.entries()) {
    const isSoft = result.status === 'fail' && i >= context.origins.length
    const message = `${result.message} Pages of drop boxes need this.`
    tell(context, 'cors', isSoft ? { ...result, status: 'warn', message } : result)
  }
}

const RULE_TRIES = 10
const RULE_MILLISECONDS = 3000

/** Waits until the results are good: R2 needs up to 30 seconds to apply new rules. */
async function untilRulesHold(check: () => Promise<Result[]>): Promise<Result[]> {
  for (let tries = 1; ; tries += 1) {
    const results = await check()
    const isFine = results.every(({ status }) => status !== 'fail')
    if (isFine || tries === RULE_TRIES) return results
    await delay(RULE_MILLISECONDS)
  }
}

/** Sends an unsigned request to the endpoints. Every S3 server refuses it in XML. */
async function reachable({ probe, bucket }: BucketContext): Promise<Result> {
  const forClients = await reachableAt(probe, bucket.publicAddress, 'publicEndpoint')
  if (forClients.status === 'fail' || bucket.publicAddress.origin === bucket.origin)
    return forClients
  const forWorker = await reachableAt(probe, bucket, 'endpoint')
  return forWorker.status === 'fail'
    ? forWorker
    : pass(`${forClients.message} ${forWorker.message}`)
}

async function reachableAt(probe: Probe, address: Address, name: string): Promise<Result> {
  const { origin } = address
  const member = address.origin === probe.bucket.origin ? 'endpoint' : name
  let answer: Answer
  try {
    answer = await probe.unsigned(null, {}, address)
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error
    return fail(
      `${origin} does not answer: ${error.message}`,
      `Check \`${member}\` and, with "virtual", \`addressing\`. Run doctor where this host is known.`,
    )
  }
  const { status, headers } = answer
  const region = headers.get('x-amz-bucket-region')
  if (status >= 300 && status < 400) {
    const elsewhere =
      region !== null && /^[a-z0-9-]{1,64}$/.test(region) ? ` The bucket is in ${region}.` : ''
    return fail(
      `${origin} redirects (status ${status}).${elsewhere}`,
      `Set \`${member}\` and \`region\` to those of the bucket. A signed URL can't be redirected.`,
    )
  }
  if (/html/i.test(headers.get('Content-Type') ?? ''))
    return fail(
      `${origin} answers with a web page (status ${status}), not with S3's API.`,
      `Set \`${member}\` to the S3 API, not to a console, a dashboard or a website of the bucket.`,
    )
  return pass(`${origin} answers in ${answer.answeredAt - answer.sentAt} ms.`)
}

const WARN_SKEW_SECONDS = 30

async function clock({ probe, bucket }: BucketContext): Promise<Result> {
  const { headers, sentAt, answeredAt } = await probe.unsigned(null)
  const date = Date.parse(headers.get('Date') ?? '')
  if (Number.isNaN(date)) return skip('The server sends no Date.')
  // Date has whole seconds, so this compares the middle of that second with that of the request.
  const skew = (date + 500 - (sentAt + answeredAt) / 2) / 1000
  const seconds = Math.max(Math.round(Math.abs(skew)), 0)
  const words = `The server's clock is ${seconds} seconds ${skew < 0 ? 'behind' : 'ahead of'} this machine's.`
  if (seconds < WARN_SKEW_SECONDS)
    return pass(seconds === 0 ? 'The clocks agree.' : `The clocks differ by ${seconds} seconds.`)
  const fix = 'Set both clocks with NTP: a signed URL is valid from the time in it.'
  // With such a difference, an upload URL has already expired when it is signed.
  return seconds < bucket.defaultExpiresIn.upload ? warn(words, fix) : fail(words, fix)
}

/** Reads an object that does not exist, with a signature. */
async function credentials(context: BucketContext): Promise<Result> {
  const { probe, bucket, names } = context
  const until = expiry(bucket.credentials.expiresAt, names.reads)
  if (until?.status === 'fail') return until
  const answer = await probe.get('missing.txt')
  const { status } = answer
  const code = s3CodeIn(answer.text)
  if (status === 404 && code === 'NoSuchKey')
    return until ?? pass(`The server accepts the access key ${names.reads}, and has the bucket.`)
  if (status === 403 && code === 'AccessDenied')
    return warn(
      `The access key ${names.reads} is refused for an object that does not exist (AccessDenied).`,
      'Allow it s3:ListBucket on the bucket and s3:GetObject on its objects: otherwise a missing file is a storage_error, not object_not_found.',
    )
  return refused(context, answer, names.reads)
}

const DAY_MILLISECONDS = 86_400_000

/** Reports temporary credentials that expire soon. */
function expiry(expiresAt: number, name: string): Result | null {
  if (expiresAt === Infinity) return null
  const fix = `Renew the access key ${name}, and set ${name}_CREDENTIAL_EXPIRATION with it.`
  if (expiresAt <= Date.now()) return fail(`The access key ${name} has expired.`, fix)
  return expiresAt - Date.now() < DAY_MILLISECONDS
    ? warn(`The access key ${name} expires at ${new Date(expiresAt).toISOString()}.`, fix)
    : null
}

/** Explains S3's error codes about wrong settings. */
function refused({ bucket }: BucketContext, answer: Answer, pair: string): Result {
  const code = s3CodeIn(answer.text)
  const seen = codeOf(answer)
  const region = textOf(readXml(answer.text) ?? NO_XML, 'Region')
  switch (code) {
    case 'NoSuchBucket':
      return fail(`There is no bucket "${bucket.name}" (${seen}).`, 'Create it, or fix `bucket`.')
    case 'InvalidAccessKeyId':
      return fail(
        `The server does not recognize the access key of ${pair} (${seen}).`,
        `Check ${pair}_ACCESS_KEY_ID, and that \`endpoint\` is the provider that it is for.`,
      )
    case 'SignatureDoesNotMatch':
      return fail(
        `The signature of ${pair} is wrong (${seen}).`,
        `Check ${pair}_SECRET_ACCESS_KEY: spaces at its end, or the secret of another key.`,
      )
    case 'RequestTimeTooSkewed':
      return fail(`The clocks differ too much (${seen}).`, 'Set both clocks with NTP.')
    case 'ExpiredToken':
    case 'InvalidToken':
    case 'TokenRefreshRequired':
      return fail(`The session token of ${pair} is not valid (${seen}).`, 'Renew the access key.')
    case 'AuthorizationHeaderMalformed':
    case 'AuthorizationQueryParametersError':
    case 'PermanentRedirect':
      return fail(
        `The region is wrong (${seen}).`,
        region !== null && /^[a-z0-9-]{1,64}$/.test(region)
          ? `Set \`region\` to "${region}".`
          : 'Set `region` to the region of the bucket. For R2, use "auto".',
      )
    case 'AccessDenied':
      return fail(
        `The access key ${pair} is refused (${seen}).`,
        'Give it the rights of docs/security.md#least-privilege-keys.',
      )
    default:
      return fail(
        `The server answers a signed request with ${seen}.`,
        "Check `endpoint`, `addressing`, `region` and `bucket` against the provider's page.",
      )
  }
}

const NO_XML = readXml('<Error/>') as NonNullable<ReturnType<typeof readXml>>

async function upload(context: BucketContext): Promise<Result> {
  const { probe, bucket, names } = context
  const until = expiry(bucket.uploadCredentials.expiresAt, names.uploads)
  if (until?.status === 'fail') return until
  if (context.part === 'dry') return until ?? (await acceptsUploader(context))
  const answer = await probe.put(OBJECT, TEXT)
  if (answer.status !== 200) return refused(context, answer, names.uploads)
  return answer.headers.has('etag')
    ? (until ?? pass(`The access key ${names.uploads} stores an object by a signed PUT.`))
    : fail('The response to a PUT has no ETag, so the server is not S3.', 'Check `endpoint`.')
}

/** Checks the access key for uploads without an upload. It may have no right to read. */
async function acceptsUploader(context: BucketContext): Promise<Result> {
  const { probe, bucket, names } = context
  const answer = await probe.get('missing.txt', bucket.uploadCredentials)
  return ['NoSuchKey', 'AccessDenied'].includes(s3CodeIn(answer.text) ?? '')
    ? pass(`The server accepts the access key ${names.uploads}. A dry run uploads nothing.`)
    : refused(context, answer, names.uploads)
}

async function read(context: BucketContext): Promise<Result> {
  const { probe, names } = context
  const answer = await probe.get(OBJECT)
  if (answer.status !== 200) return refused(context, answer, names.reads)
  return answer.text === TEXT
    ? pass(`The access key ${names.reads} reads what ${names.uploads} has stored.`)
    : fail(
        'The object that comes back differs from what was stored.',
        'Check what is in front of the server.',
      )
}

/** Checks that the Worker finds at `endpoint` what clients store at `publicEndpoint`. */
async function publicEndpoint({ probe, bucket }: BucketContext): Promise<Result> {
  const { origin } = bucket.publicAddress
  if (origin === bucket.origin) return skip('Clients and the Worker use one endpoint.')
  const answer = await probe.getAsWorker(OBJECT)
  return answer.status === 200 && answer.text === TEXT
    ? pass(`The Worker reads at ${bucket.origin} what clients store at ${origin}.`)
    : fail(
        `The Worker does not find at ${bucket.origin} what clients store at ${origin} (${codeOf(answer)}).`,
        'Set `endpoint` and `publicEndpoint` to two hosts of one server.',
      )
}

/** The advice if uploads are signed with an access key that can read. */
const leastPrivilege = ({ origin }: Bucket): string =>
  /\.r2\.cloudflarestorage\.com$/.test(new URL(origin).hostname)
    ? 'R2 has no access key that can only write, so nothing but the presigner keeps the tenants of this bucket apart. Limit the token to this bucket: docs/security.md#least-privilege-keys.'
    : 'Set `uploadCredentials` to an access key that can only write: docs/security.md#least-privilege-keys.'

/** Checks that the access key for uploads can't read, so that nobody can use an upload URL to copy. */
async function uploadPair({ probe, bucket, names }: BucketContext): Promise<Result> {
  const { credentials, uploadCredentials } = bucket
  const fix = leastPrivilege(bucket)
  if (credentials.accessKeyId === uploadCredentials.accessKeyId)
    return warn(
      `One access key, ${names.reads}, signs uploads and reads. On some servers, everyone who may upload can read every object of the bucket.`,
      fix,
    )
  const object = await probe.get(OBJECT, uploadCredentials)
  if (object.status === 200 || object.text === TEXT)
    return fail(`The access key for uploads, ${names.uploads}, can read objects.`, fix)
  const query = { 'list-type': '2', 'max-keys': '1' }
  const list = await probe.ofBucket({ credentials: uploadCredentials, query })
  if (list.status === 200)
    return fail(`The access key for uploads, ${names.uploads}, can list the bucket.`, fix)
  return object.status === 401 || object.status === 403
    ? pass(`The access key for uploads, ${names.uploads}, can't read and can't list.`)
    : warn(
        `The response to a read by ${names.uploads} is ${codeOf(object)}, which is inconclusive.`,
        fix,
      )
}

/** Checks whether an unsigned header makes an upload URL copy another object. */
async function copy({ probe, bucket }: BucketContext): Promise<Result> {
  const source = `/${bucket.name}/${probe.key(OBJECT)}`
  const answer = await probe.put('copy.txt', '', {}, { 'x-amz-copy-source': source })
  if (answer.status !== 200) return pass(`An upload URL can't copy: ${codeOf(answer)}.`)
  const { text } = await probe.get('copy.txt')
  return text === TEXT
    ? fail(
        'Anyone with an upload URL can copy every object that its access key can read.',
        `${leastPrivilege(bucket)} The server accepts an unsigned x-amz-copy-source.`,
      )
    : pass("An upload URL can't copy: the server ignores x-amz-copy-source.")
}

/** Checks that the access key that reads may also copy, which only `copies()` needs. */
async function copies({ probe, names }: BucketContext): Promise<Result> {
  const answer = await probe.copyAsWorker(OBJECT, 'copied.txt')
  const { text } = await probe.get('copied.txt')
  if (text === TEXT) return pass(`The access key ${names.reads} copies an object.`)
  const fix =
    'To use POST /files/copy and POST /files/move, allow it s3:PutObject: docs/security.md#least-privilege-keys. Otherwise, ignore this.'
  return isOk(answer) && s3CodeIn(answer.text) === null
    ? warn('The server claims to copy an object, and does not.', 'Do not use the plugin copies().')
    : skip(`The access key ${names.reads} can't copy objects (${codeOf(answer)}).`, fix)
}

/** Checks that nobody can read or list without a signature. */
async function isPrivate({ probe }: BucketContext): Promise<Result> {
  const object = await probe.unsigned(probe.key(OBJECT))
  const fix = 'Make the bucket private, and block public access: docs/deploy.md#public-access.'
  if (isOk(object) || object.text.includes(TEXT))
    return fail('Everyone can read its objects without a signature.', fix)
  const list = await probe.unsigned(null, { 'list-type': '2', 'max-keys': '1' })
  if (isOk(list) && /<ListBucketResult/.test(list.text))
    return fail('Everyone can list its objects without a signature.', fix)
  if (object.status < 400 || object.status > 499)
    return warn(
      `The response to a read without a signature is ${codeOf(object)}, which is inconclusive.`,
      'Request an object without credentials, and check that the server refuses.',
    )
  return pass(`Reading and listing without a signature is refused (${codeOf(object)}).`)
}

const isOk = ({ status }: Answer): boolean => status >= 200 && status < 300

/** Checks whether an unsigned header makes the object of an upload URL public. */
async function acl({ probe }: BucketContext): Promise<Result> {
  if (isOk(await probe.unsigned(probe.key(OBJECT)))) return skip('The bucket is public already.')
  const answer = await probe.put('acl.txt', TEXT, {}, { 'x-amz-acl': 'public-read' })
  if (!isOk(answer)) return pass(`An upload URL can't make an object public: ${codeOf(answer)}.`)
  const object = await probe.unsigned(probe.key('acl.txt'))
  return isOk(object) || object.text.includes(TEXT)
    ? fail(
        'Anyone with an upload URL can make the object public.',
        'Set IgnorePublicAcls in the public access block: docs/deploy.md#public-access.',
      )
    : pass("An upload URL can't make an object public: x-amz-acl has no effect.")
}

const BLOCKS = ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets']

/** Checks S3's GetPublicAccessBlock, which few servers besides AWS support. */
async function publicAccessBlock({ probe, bucket, admin, names }: BucketContext): Promise<Result> {
  const answer = await probe.ofBucket({
    credentials: admin ?? bucket.credentials,
    query: { publicAccessBlock: '' },
  })
  const root = readXml(answer.text)
  const code = s3CodeIn(answer.text)
  const fix = 'Turn it on: docs/deploy.md#public-access has the command.'
  if (code === 'NoSuchPublicAccessBlockConfiguration')
    return warn('The bucket has no public access block.', fix)
  if (code === 'AccessDenied')
    return skip(
      `The access key ${admin === undefined ? names.reads : 'of --admin'} may not read it.`,
      'See the console, or name an access key that has s3:GetBucketPublicAccessBlock with --admin.',
    )
  if (answer.status !== 200 || root?.name !== 'PublicAccessBlockConfiguration')
    return skip('Not supported by this server.')
  const off = BLOCKS.filter((name) => textOf(root, name)?.toLowerCase() !== 'true')
  if (off.length === 0) return pass('All four settings are on.')
  // With BlockPublicAcls, Ceph RGW 18 refuses every upload. Ignored ACLs are harmless.
  if (off.join() === 'BlockPublicAcls') return pass('On, except BlockPublicAcls: ACLs are ignored.')
  return warn(`Off: ${off.join(', ')}.`, fix)
}

/** Reports what is left in the bucket. */
function cleanUp(
  left: Awaited<ReturnType<Probe['cleanUp']>>,
  objects: number,
  uploads: number,
): Result {
  if (left === null)
    return pass(
      `Deleted what doctor created: ${counted(objects, 'object')}, ${counted(uploads, 'unfinished upload')}.`,
    )
  const what = [...left.keys, ...left.uploads.map((key) => `the unfinished upload of ${key}`)]
  return warn(
    `${what.length} of ${objects + uploads} could not be deleted (${left.reason}): ${what.join(', ')}.`,
    `Delete the folder ${FOLDER}/ by hand. Without s3:DeleteObject, DELETE /files/:key fails as well.`,
  )
}
