import * as z from 'zod/mini'
import { requireScope } from '../../access/principal.ts'
import { sixAtOnce } from '../../bucket/at-once.ts'
import { Allowance } from '../../core/allowance.ts'
import { recordBody } from '../../core/announce.ts'
import { warnOfFailures } from '../../core/remove.ts'
import { ApiError } from '../../errors/api-error.ts'
import { type AppContext, Kept } from '../../http/app-env.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import { removeDeadline } from '../../http/deadline.ts'
import { bucket, fileName, itemError, MAX_FILES, MAX_KEYS_BODY_BYTES } from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { countPrincipal } from '../../http/rate-limit.ts'
import { created, json } from '../../http/responses.ts'
import { check, validateJson } from '../../http/validate.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { type CopyCall, copyFile } from './copy-file.ts'
import type { CopySizes } from './copy-parts.ts'

/** What the plugin has read of its options. */
export const LIMITS = new Kept<{ readonly requests: number; readonly sizes: CopySizes }>()

const MAX_CURSOR_LENGTH = 16_384

const one = {
  from: z.string(),
  to: z.string(),
  overwrite: z.optional(z.boolean()),
  name: z.optional(fileName),
  etag: z.optional(z.string().check(z.minLength(1), z.maxLength(255))),
  cursor: z.optional(z.string().check(z.maxLength(MAX_CURSOR_LENGTH))),
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
  { body: manySchema(oneOfCopies) }, // for docs/openapi.json
)

const keysIn = z.object({ from: z.optional(z.string()), to: z.optional(z.string()) })

/** Copies and moves of files, by the server of their bucket. */
export const copyRoutes = newApp()
  .post('/files/copy', validateCopies, (c) => answer(c, 'copy', c.req.valid('json')))
  .post('/files/move', validateCopies, (c) => answer(c, 'move', c.req.valid('json')))

async function answer(
  c: AppContext,
  kind: CopyCall['kind'],
  { files, bucket: alias, toBucket, ...single }: z.output<ReturnType<typeof manySchema>>,
): Promise<Response> {
  const principal = c.get('principal')
  requireScope(principal, 'files:read')
  requireScope(principal, 'files:upload')
  const file = files === undefined ? check(oneOfCopies, single) : null
  if (files !== undefined) check(z.strictObject({}), single)
  const source = await chooseOpenBucket(c, alias, null)
  const target = toBucket === undefined ? source : await chooseOpenBucket(c, toBucket, null)
  const limits = LIMITS.of(c.env.instance)
  if (limits === undefined) throw new Error('The plugin copies was not set up.')
  const { requests, sizes } = limits
  // A server may need longer than a request has.
  removeDeadline(c)
  let started = 0
  // The first one has already counted as the request.
  const count = () => (started++ === 0 ? undefined : countPrincipal(c, principal))
  const call = { kind, source, target, sizes, allowance: new Allowance(requests), count }
  const act = async ({ from, to, ...file }: z.output<typeof oneOfCopies>) => {
    const keys = { from: parseObjectKey(from), to: parseObjectKey(to) }
    const done = await copyFile(c, call, { ...keys, ...file })
    return 'cursor' in done ? { from, to, ...done } : recordBody(done)
  }
  if (file !== null) {
    const body = await act(file)
    return 'cursor' in body ? json(c, body, 202) : created(c, body)
  }
  const requireIndependent = independence(call)
  const failures: unknown[] = []
  const results = await sixAtOnce(files ?? [], async (given) => {
    try {
      const file = check(oneOfCopies, given)
      requireIndependent(file)
      return await act(file)
    } catch (error) {
      failures.push(error)
      return { ...keysIn.safeParse(given).data, error: itemError(error) }
    }
  })
  warnOfFailures(c, kind === 'copy' ? 'copied' : 'moved', failures)
  return json(c, { files: results })
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
