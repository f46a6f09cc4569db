import * as z from 'zod/mini'
import { requireScope } from '../../access/principal.ts'
import { Allowance } from '../../core/allowance.ts'
import { recordBody } from '../../core/announce.ts'
import { warnOfFailures } from '../../core/remove.ts'
import { ApiError } from '../../errors/api-error.ts'
import { type AppContext, Kept } from '../../http/app-env.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import { bucket, fileName, itemError, MAX_FILES, MAX_KEYS_BODY_BYTES } from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { countPrincipal } from '../../http/rate-limit.ts'
import { created, json } from '../../http/responses.ts'
import { check, validateJson } from '../../http/validate.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { type CopyCall, copyFiles, type FileToCopy, type Outcome } from './copy-file.ts'
import type { CopyKind } from './journal.ts'

/** What the plugin has read of its option. */
export const MAX_REQUESTS = new Kept<number>()

/** Files of a call that are copied at once, and whose sources are deleted together. */
const GROUP_FILES = 6

const one = {
  from: z.string(),
  to: z.string(),
  overwrite: z.optional(z.boolean()),
  name: z.optional(fileName),
  etag: z.optional(z.string().check(z.minLength(1), z.maxLength(255))),
}

const oneOfCopies = z.strictObject(one)

const manySchema = <Of extends z.ZodMiniType>(of: Of) =>
  z.strictObject({
    ...z.partial(oneOfCopies).shape,
    files: z.optional(z.array(of).check(z.minLength(1), z.maxLength(MAX_FILES))),
    bucket,
    toBucket: bucket,
  })

/** One file in the body itself, or a list of them. */
const validateCopies = Object.assign(
  validateJson(manySchema(z.custom<unknown>()), MAX_KEYS_BODY_BYTES),
  { body: manySchema(oneOfCopies) }, // for the OpenAPI document
)

const keysIn = z.object({ from: z.optional(z.string()), to: z.optional(z.string()) })

/** Copies and moves of files, by the server of their bucket. */
export const copyRoutes = newApp()
  .post('/files/copy', validateCopies, (c) => answer(c, 'copy', c.req.valid('json')))
  .post('/files/move', validateCopies, (c) => answer(c, 'move', c.req.valid('json')))

async function answer(
  c: AppContext,
  kind: CopyKind,
  { files, bucket: alias, toBucket, ...single }: z.output<ReturnType<typeof manySchema>>,
): Promise<Response> {
  const principal = c.get('principal')
  requireScope(principal, 'files:read')
  requireScope(principal, 'files:upload')
  check(files === undefined ? oneOfCopies : z.strictObject({}), single)
  const source = await chooseOpenBucket(c, alias, null)
  const target = toBucket === undefined ? source : await chooseOpenBucket(c, toBucket, null)
  const requests = MAX_REQUESTS.of(c.env.instance)
  if (requests === undefined) throw new Error('The plugin copies was not set up.')
  let started = 0
  // The rate limit has counted the first one with the request.
  const count = () => (started++ === 0 ? undefined : countPrincipal(c, principal))
  // Moves share one DeleteObjects, which a server may refuse.
  const allowance = new Allowance(kind === 'move' ? requests - 1 : requests)
  const call = { kind, source, target, allowance, count }
  const requireIndependent = independence(call)
  const parsed = (files ?? [single]).map((given): FileToCopy | { readonly error: unknown } => {
    try {
      const file = check(oneOfCopies, given)
      requireIndependent(file)
      return { ...file, from: parseObjectKey(file.from), to: parseObjectKey(file.to) }
    } catch (error) {
      return { error }
    }
  })
  const valid = parsed.flatMap((file) => ('error' in file ? [] : [file]))
  const outcomes = new Map<unknown, Outcome>()
  for (let i = 0; i < valid.length; i += GROUP_FILES)
    for (const one of await copyFiles(c, call, valid.slice(i, i + GROUP_FILES)))
      outcomes.set(...one)
  const results = parsed.map((file) => ('error' in file ? file : outcomes.get(file)))
  if (files === undefined) {
    const [outcome] = results
    if (outcome === undefined || 'error' in outcome) throw outcome?.error
    return created(c, recordBody(outcome.recorded))
  }
  const failures: unknown[] = []
  const shown = results.map((outcome, i) => {
    if (outcome !== undefined && 'recorded' in outcome) return recordBody(outcome.recorded)
    failures.push(outcome?.error)
    return { ...keysIn.safeParse(files[i]).data, error: itemError(outcome?.error) }
  })
  warnOfFailures(c, kind === 'copy' ? 'copied' : 'moved', failures)
  return json(c, { files: shown })
}

/**
 * Returns a function that throws `invalid_request` for a file whose result would depend on that of an
 * earlier file of the same call, since they are copied at once.
 */
function independence({ kind, source, target }: CopyCall) {
  const sources = new Set<string>()
  const targets = new Set<string>()
  return ({ from, to }: { readonly from: string; readonly to: string }): void => {
    const [read, written] = [`${source.name}/${from}`, `${target.name}/${to}`]
    if (
      targets.has(written) ||
      targets.has(read) ||
      sources.has(written) ||
      (kind === 'move' && sources.has(read))
    )
      throw new ApiError('invalid_request', 'Another file of this request has one of these keys.')
    sources.add(read)
    targets.add(written)
  }
}
