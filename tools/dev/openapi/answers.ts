import * as z from 'zod/mini'
import { KEY_SCOPES } from '../../../src/access/scopes.ts'
import { REASONS_BY_CODE, STATUS_BY_CODE } from '../../../src/errors/api-error.ts'
import { MODES, STOP_REASONS } from '../../../src/plugins/upkeep/state.ts'

/**
 * The Worker's responses, under their names in the OpenAPI document. `tools/dev/build-answers.ts` makes the
 * types of the client from them, and what checks its responses.
 */
export const answers = z.registry<{ id: string }>()

const text = (description: string) => z.string().check(z.describe(description))
const url = (description: string) => z.url().check(z.describe(description))
const bytes = (description: string) => z.int().check(z.minimum(0), z.describe(description))
const count = (description: string) => z.int().check(z.minimum(1), z.describe(description))
const instant = (description: string) => z.iso.datetime().check(z.describe(description))

const objectKey = () => text('The object key.')
const alias = () => text('Alias of the bucket.')
const seconds = () => count('Seconds until it expires.')
const end = () => instant('When it expires, ISO 8601 in UTC.')
const etag = () => text('As the bucket reports it, with its quotes.')
const headers = (description: string) =>
  z.record(z.string(), z.string()).check(z.describe(description))

const errorCode = z
  .enum(Object.keys(STATUS_BY_CODE))
  .check(
    z.describe("The API's error codes. docs/api.md explains them. A newer Worker may have others."),
  )

const scope = z.enum(KEY_SCOPES).check(z.describe('What a caller may do.'))

const reason = z
  .enum([...new Set(Object.values(REASONS_BY_CODE).flat())])
  .check(z.describe('Why, for codes with several causes. A newer Worker may have others.'))

const issue = z
  .object({
    path: text('Dotted path from the root of the body or query; empty for the root itself.'),
    message: z.string(),
  })
  .check(z.describe('One error in an input.'))

const itemError = z
  .object({
    code: errorCode,
    message: z.string(),
    reason: z.optional(reason),
    etag: z.optional(z.nullable(z.string())),
    deleted: z
      .optional(z.boolean())
      .check(z.describe('Its object is gone, whatever failed after that.')),
    issues: z.optional(z.array(issue)),
  })
  .check(z.describe('Why one item of a list failed. The others are not affected.'))

const record = {
  key: objectKey(),
  bucket: alias(),
  name: text('The name to show to people.'),
  size: bytes('Bytes.'),
  mimetype: text('As the bucket reports it.'),
  etag: etag(),
  owner: z
    .nullable(z.string())
    .check(z.describe('Id of the principal that recorded it; null if the index has no record.')),
  createdAt: instant("The object's Last-Modified, ISO 8601 in UTC."),
  status: z
    .optional(z.literal('found'))
    .check(z.describe('Present if nobody has confirmed the upload.')),
}

const refusedKey = z
  .object({ key: z.string(), error: itemError })
  .check(z.describe('Why one key of a list failed. The other keys are not affected.'))

const refusedFile = z
  .object({ fileName: z.optional(z.string()), key: z.optional(z.string()), error: itemError })
  .check(z.describe('Why one file of a list was refused. The other files are not affected.'))

export const fileRecord = z.object(record).check(z.describe('A file in the index.'))

export const recordedFile = z
  .object({
    ...record,
    data: z
      .optional(z.unknown())
      .check(z.describe("The `data` that the app's `onEvent` returned, in an app that has one.")),
  })
  .check(z.describe('A file that was just recorded.'))

const totals = {
  count: z.int().check(z.minimum(0), z.describe('Number of files.')),
  bytes: bytes('Bytes of these files.'),
}

const listedFile = z.object({
  ...record,
  url: z.optional(url('A signed GET, if the query has `urls`.')),
  error: z.optional(itemError).check(z.describe('Why there is no `url`: the app refused it.')),
})

const folder = z
  .object({ prefix: text("The start of its files' keys, up to and with `/`."), ...totals })
  .check(z.describe('A folder in the index, with the totals of everything below it.'))

export const filePage = z.object({
  files: z.array(listedFile),
  folders: z
    .optional(z.array(folder))
    .check(z.describe('With `delimiter`: what is directly below the prefix, before its files.')),
  cursor: z.optional(text('For the next page. Present while more pages may follow.')),
})

const group = z.object({
  value: z
    .nullable(z.string())
    .check(z.describe('A media type, an owner or null, a day, or the prefix of a folder.')),
  ...totals,
})

export const stats = z.object({
  ...totals,
  groups: z
    .optional(z.array(group).check(z.maxLength(1000)))
    .check(z.describe('With `groupBy`: the last days, or those with the most bytes.')),
})

export const uploadUrl = z.object({
  uploadUrl: url('Where to PUT the file.'),
  key: objectKey(),
  bucket: alias(),
  method: z.literal('PUT'),
  headers: headers('The headers that the client must send unchanged. All of them are signed.'),
  expiresIn: seconds(),
  expiresAt: end(),
})

export const uploadUrls = z.object({
  uploads: z
    .array(z.union([uploadUrl, refusedFile]))
    .check(z.describe('One for each file, in the order of the request.')),
})

export const recordedFiles = z.object({
  files: z
    .array(z.union([recordedFile, refusedFile]))
    .check(z.describe('One for each file, in the order of the request.')),
})

export const copiedFiles = z.object({
  files: z
    .array(
      z.union([
        recordedFile,
        z.object({
          from: z.optional(z.string()),
          to: z.optional(z.string()),
          error: itemError,
        }),
      ]),
    )
    .check(z.describe('One for each file, in the order of the request.')),
})

/** One for each key that was asked for. */
const keyResults = () =>
  z
    .array(z.object({ key: z.string(), error: z.optional(itemError) }))
    .check(z.describe('One for each key, in the order of the request.'))

export const deletedFiles = z.object({ deleted: keyResults() })

export const purgedCopies = z.object({ purged: keyResults() })

const storedObject = z
  .object({
    key: objectKey(),
    size: bytes('Bytes.'),
    etag: etag(),
    lastModified: instant('ISO 8601 in UTC.'),
    isRecorded: z.boolean().check(z.describe('Whether the index has a record of this key.')),
  })
  .check(z.describe('An object of the bucket.'))

export const objectPage = z.object({
  objects: z.array(storedObject),
  folders: z
    .optional(z.array(z.object({ prefix: text('Up to and with the `/`.') })))
    .check(z.describe('With `delimiter`: what the keys below start with.')),
  cursor: z.optional(text('For the next page. Present while more pages may follow.')),
})

export const erasure = z.object({
  shares: bytes('Grants that this call has revoked, and drop boxes that it has closed.'),
  deleted: bytes('Objects that this call has deleted, with their records and edge copies.'),
  versions: z
    .nullable(bytes('Older versions and delete markers.'))
    .check(z.describe("Older versions and delete markers. Null if the bucket can't list them.")),
  uploads: z
    .nullable(bytes('Unfinished uploads in parts.'))
    .check(z.describe("Unfinished uploads in parts. Null if the bucket can't list them.")),
  records: bytes('Records without an object.'),
  unreadable: bytes(
    'Objects and entries of the index that stay, since their keys can not be named.',
  ),
  failures: z.array(refusedKey).check(z.describe('What is left, and why.')),
  cursor: z.optional(text('For the next call. Missing at the end.')),
  repeatAfter: instant(
    'When everything that was signed until now has expired. A second pass is needed then.',
  ),
})

export const indexPage = z.object({
  buckets: z
    .array(z.string())
    .check(z.describe('Aliases of the buckets that the caller may use. The first is the default.')),
  records: z.array(z.object(record)),
  unreadable: bytes('Number of entries on this page that are not records.'),
  cursor: z.optional(text('For the next page. Present while more pages may follow.')),
})

export const putRecords = z.object({
  records: z
    .array(
      z.union([
        z.object({
          key: objectKey(),
          outcome: z
            .enum(['stored', 'kept', 'gone'])
            .check(
              z.describe(
                '`kept`: the index has a record of this object, of another one of the same second, or of a later one. `gone`: the bucket has no such object, and the index no record of it.',
              ),
            ),
        }),
        z.object({
          key: z.string(),
          error: z.object({
            code: z.enum(['invalid_key', 'invalid_request', 'forbidden', 'key_not_indexable']),
            message: z.string(),
          }),
        }),
      ]),
    )
    .check(z.describe('Those that were refused come last.')),
})

const found = (description: string) => bytes(description)

const counts = z.object({
  objects: found('Objects that the pass has seen.'),
  records: found('Records that the pass has seen.'),
  unrecorded: found(
    'Objects without a record that upkeep records: of generated keys or managed prefixes.',
  ),
  young: found('Objects without a record that are too young.'),
  unmanaged: found('Objects without a record that nobody asked to record.'),
  ownerless: found('Managed objects without an owner.'),
  different: found('Records of another object than the bucket has.'),
  gone: found('Records without an object.'),
  oldUploads: z
    .nullable(z.int())
    .check(z.describe("Unfinished uploads that are too old; null if the server can't list them.")),
  unreadable: found('Entries of the index and of lists that nobody can read.'),
  foreign: z
    .nullable(z.int())
    .check(
      z.describe("Entries of aliases that are no longer configured; null if the index can't tell."),
    ),
  refused: found("Keys that the index can't store."),
  failed: found('Keys that failed. They are tried again.'),
  recorded: found('Objects that got a record.'),
  returned: found('Objects that got back the name and the owner of a kept record.'),
  updated: found('Records of the same file that got its date and type.'),
  corrected: found('Records of another object that were replaced.'),
  dropped: found('Records without an object that were removed.'),
  aborted: found('Unfinished uploads that were aborted.'),
})

const passSummary = z.object({
  mode: z.enum(MODES),
  startedAt: instant('When the pass began.'),
  endedAt: instant('When it ended.'),
  counts,
})

const walkStatus = {
  mode: z.nullable(z.enum(MODES)).check(z.describe('Null before the first pass, as all others.')),
  phase: z
    .nullable(z.enum(['objects', 'uploads', 'entries', 'acting', 'idle']))
    .check(
      z.describe(
        '`acting`: the pass removes and changes what it has collected. `idle`: it has ended.',
      ),
    ),
  startedAt: z.nullable(instant('When the pass began.')),
  counts: z.nullable(counts).check(z.describe('What this pass has found and done so far.')),
  collected: found('Keys that the pass has collected, to remove or change their records.'),
  failing: found('Keys that have failed and are tried again.'),
  nextAt: z.nullable(instant('When the next step is due. Null if none is.')),
  failures: found('Failures in a row that are not about one key.'),
  failure: z
    .nullable(
      z.object({
        code: z.enum(Object.keys(STATUS_BY_CODE)),
        reason: z.optional(reason),
        message: z.string(),
        at: instant('When it failed.'),
      }),
    )
    .check(z.describe('The last failure of this pass. The walk tries again.')),
  stopped: z
    .nullable(z.object({ reason: z.enum(STOP_REASONS), at: instant('When it stopped.') }))
    .check(z.describe('Why the walk has stopped. A person must let it go on.')),
  last: z.nullable(passSummary).check(z.describe('The last pass that has ended.')),
}

export const upkeepStatus = z.object({
  mode: z.enum(MODES),
  plan: z.enum(['free', 'paid']),
  buckets: z.array(z.object({ bucket: alias(), ...walkStatus })),
})

export const upkeepWalk = z.object({
  bucket: alias(),
  buckets: z
    .array(z.string())
    .check(z.describe('Aliases of all buckets that upkeep walks through and the caller may use.')),
  ...walkStatus,
})

export const orphans = z.object({
  bucket: alias(),
  prefix: z.string(),
  count: found('All orphans below the prefix.'),
  bytes: found('Their size.'),
  isMany: z
    .boolean()
    .check(
      z.describe(
        'Whether they are more than a tenth of the files there. A delete then needs `count`.',
      ),
    ),
  samples: z.array(
    z.object({
      key: objectKey(),
      etag: text('In its quotes.'),
      size: found('In bytes.'),
      since: instant('When upkeep first saw it without an owner.'),
    }),
  ),
})

export const deletedOrphans = z.object({
  files: z.array(
    z.union([
      z.object({
        key: objectKey(),
        outcome: z
          .enum(['deleted', 'owned'])
          .check(z.describe('`owned`: it has an owner or a kept record by now, and stays.')),
      }),
      z.object({
        key: z.string(),
        error: z.object({ code: z.enum(Object.keys(STATUS_BY_CODE)), message: z.string() }),
      }),
    ]),
  ),
  after: z.optional(text('For the next request. Present while more orphans may follow.')),
})

export const keptRecords = z.object({
  records: z.array(
    z.object({
      ...record,
      keptAt: instant('When it was removed or replaced.'),
      expiresAt: z.nullable(
        instant('When it expires. Null while the bucket has an object of its size.'),
      ),
    }),
  ),
  cursor: z.optional(text('For the next page. Present while more pages may follow.')),
})

export const restoredRecords = z.object({
  records: z
    .array(
      z.union([
        z.object({
          key: objectKey(),
          outcome: z
            .enum(['restored', 'kept', 'gone', 'different', 'unknown'])
            .check(
              z.describe(
                '`kept`: the index has a record of this object with an owner. `gone`: the bucket has no object. `different`: it has another one. `unknown`: no record is kept.',
              ),
            ),
        }),
        z.object({
          key: z.string(),
          error: z.object({
            code: z.enum(Object.keys(STATUS_BY_CODE)),
            message: z.string(),
          }),
        }),
      ]),
    )
    .check(z.describe('One for each distinct key, in the order of the request.')),
})

export const fileUrl = z.object({
  url: url('A signed GET.'),
  key: objectKey(),
  bucket: alias(),
  expiresIn: seconds(),
  expiresAt: end(),
})

export const fileUrls = z.object({
  urls: z
    .array(z.union([z.object({ key: z.string(), url: z.url() }), refusedKey]))
    .check(z.describe('One for each key, in the order of the request.')),
  expiresIn: seconds(),
  expiresAt: end(),
})

const srcset = () =>
  z
    .optional(z.string())
    .check(z.describe('For `<img srcset>`: a link for each of `widths`. Missing without `widths`.'))

export const link = z.object({
  link: url('For `<img src>`, email and similar uses. With `widths`, the widest image.'),
  srcset: srcset(),
  expiresAt: end(),
})

export const folderLink = z.object({
  base: url('The start of the URL of each file. Ends with `/`.'),
  expiresAt: end(),
})

export const links = z.object({
  links: z
    .array(z.union([z.object({ key: z.string(), link: z.url(), srcset: srcset() }), refusedKey]))
    .check(z.describe('One for each key, in the order of the request.')),
  expiresAt: end(),
})

export const grant = z
  .object({
    id: text('For requests of its creator, and in events. It opens nothing.'),
    url: url('For the recipient. A secret: anyone who has it can use the grant.'),
    bucket: alias(),
    key: objectKey(),
    name: text('Name of the file.'),
    size: bytes('Bytes of the file when the grant was created.'),
    label: z.nullable(z.string()).check(z.describe('What the recipient reads on the page.')),
    uses: z
      .nullable(z.int().check(z.minimum(1)))
      .check(z.describe('How many links it dispenses in all; null for any number.')),
    usesLeft: z
      .nullable(z.int().check(z.minimum(0)))
      .check(z.describe('How many are left; null for any number.')),
    deadline: instant('When it ends, ISO 8601 in UTC.'),
    hasPassword: z.boolean().check(z.describe('Whether the recipient must enter a password.')),
    wrongPasswords: z.int().check(z.describe('How many passwords of visitors were wrong.')),
    direct: z.boolean().check(z.describe('Whether a GET takes a use.')),
    download: z
      .nullable(z.string())
      .check(z.describe('Name to save the object under, if its creator chose one.')),
    restrictions: z
      .nullable(
        z.object({
          notBefore: z.optional(z.iso.datetime()),
          ips: z.optional(z.array(z.string())),
          countries: z.optional(z.array(z.string())),
          notCountries: z.optional(z.array(z.string())),
        }),
      )
      .check(z.describe('Who may open it, and when it starts to work; null for everyone.')),
    createdAt: instant('When it was created, ISO 8601 in UTC.'),
    lastUsedAt: z
      .nullable(z.iso.datetime())
      .check(z.describe('When it last dispensed a link, ISO 8601 in UTC; null for never.')),
  })
  .check(z.describe('A link that counts its uses, and that can be revoked.'))

const unavailable = z
  .optional(z.array(z.string()))
  .check(z.describe('Ids of those that could not be read at the moment.'))

export const grants = z.object({
  grants: z.array(grant).check(z.describe('The newest first.')),
  unavailable,
  cursor: z.optional(text('For the next page. Present while more pages may follow.')),
})

const room = (description: string) =>
  z
    .object({ files: z.int().check(z.minimum(0)), bytes: z.int().check(z.minimum(0)) })
    .check(z.describe(description))

const boxTerms = {
  from: text(
    'Who asks for files: plain text, and so are the others. Show them as text, not as HTML.',
  ),
  title: text('Title of the page.'),
  message: z.nullable(z.string()).check(z.describe('Text of the page, or null.')),
  deadline: instant('When it closes, ISO 8601 in UTC.'),
  maxFiles: count('How many files it accepts.'),
  maxBytes: count('Maximum size of a file in bytes.'),
  maxTotalBytes: count('Maximum size of all files in bytes.'),
  allowedTypes: z
    .nullable(z.array(z.string()))
    .check(z.describe('Types that it accepts; null for all that the bucket accepts.')),
}

export const dropBox = z
  .object({
    id: text('For requests of its creator, and in events. It opens nothing.'),
    url: url('For senders. A secret: anyone who has it can send files.'),
    bucket: alias(),
    prefix: text('Where the files go.'),
    ...boxTerms,
    hasPassword: z.boolean().check(z.describe('Whether senders must enter a password.')),
    wrongPasswords: z.int().check(z.describe('How many passwords of visitors were wrong.')),
    createdAt: instant('When it was created, ISO 8601 in UTC.'),
    received: room('What has arrived.'),
  })
  .check(z.describe('A page on which anybody who knows its URL can drop files.'))

export const dropBoxes = z.object({
  dropBoxes: z.array(dropBox).check(z.describe('The newest first.')),
  unavailable,
  cursor: z.optional(text('For the next page. Present while more pages may follow.')),
})

const receivedFile = z
  .object({
    key: objectKey(),
    bucket: alias(),
    name: text("The sender's name of the file."),
    size: bytes('Bytes.'),
    mimetype: text('As the bucket reports it.'),
    receivedAt: instant('When it arrived, ISO 8601 in UTC.'),
    sender: z
      .nullable(z.object({ name: z.string(), note: z.string() }))
      .check(
        z.describe(
          'What the sender wrote: plain text that nobody has checked. Show it as text, not as HTML.',
        ),
      ),
    country: z
      .nullable(z.string())
      .check(z.describe("The sender's country, as Cloudflare reports it; null if unknown.")),
  })
  .check(z.describe('A file that a drop box received.'))

export const receivedFiles = z.object({
  files: z.array(receivedFile).check(z.describe('The newest first.')),
  cursor: z.optional(text('For the next page. Present while more pages may follow.')),
})

export const dropBoxToken = z.object({
  token: z.string().check(z.startsWith('epd_'), z.describe('Send it as a Bearer token.')),
  expiresAt: end(),
  endpoint: url('URL of the API, for this token.'),
  bucket: alias(),
  ...boxTerms,
  left: room('What nobody has sent or reserved.'),
})

export const token = z.object({
  token: z.string().check(z.startsWith('ept_'), z.describe('Send it as a Bearer token.')),
  expiresAt: end(),
})

const bucketLimits = z
  .object({
    bucket: alias(),
    maxBytes: z
      .nullable(z.int().check(z.minimum(1)))
      .check(z.describe('Maximum size of an upload in bytes; null without a limit.')),
    allowedTypes: z
      .nullable(z.array(z.string()))
      .check(z.describe('`type/subtype` or `type/*`; null if every type is allowed.')),
    maxExpiresIn: z
      .object({
        upload: z.int(),
        view: z.int(),
        stream: z.int(),
        email: z.int(),
        link: z.int(),
      })
      .check(z.describe('Seconds by use. `expiresIn` of a link can be half of `link`.')),
  })
  .check(z.describe('What the caller may do in one bucket.'))

export const limits = z.object({
  tag: text(
    "Changes with the caller's id and prefix. A client sends it in `X-User-Tag`, so that another user's login doesn't go unnoticed.",
  ),
  scopes: z.array(scope),
  prefix: text('Empty, or ends with `/` and has no empty segment.'),
  expiresAt: z
    .nullable(z.iso.datetime())
    .check(z.describe('When the credential expires, ISO 8601 in UTC; null if it does not.')),
  buckets: z
    .array(bucketLimits)
    .check(z.describe('Those that the caller may use. The first one is the default.')),
  answers: z.boolean().check(z.describe('Whether the index searches, sorts and counts.')),
  plugins: z
    .array(z.string())
    .check(
      z.describe('The plugins of the presigner, such as `files`. A route of another one is 404.'),
    ),
})

export const startedUpload = z.object({
  key: objectKey(),
  bucket: alias(),
  uploadId: text('Bound to key, bucket and principal; can be a few kilobytes long.'),
  partSize: count('Bytes of each part except the last.'),
  partCount: z
    .optional(z.int().check(z.minimum(1), z.maximum(10_000)))
    .check(z.describe('Missing if the request has no `size`.')),
  expiresAt: instant('When `uploadId` expires: after 7 days.'),
})

export const partUrls = z.object({
  urls: z
    .array(z.object({ partNumber: z.int(), url: url('Where to PUT the part.') }))
    .check(z.describe('In the order of the request.')),
  expiresIn: seconds(),
  expiresAt: end(),
})

export const partList = z.object({
  parts: z
    .array(z.object({ partNumber: z.int(), size: bytes('Bytes.'), etag: etag() }))
    .check(z.describe('By ascending number.')),
})

export const settledNotifications = z.object({
  counts: z
    .record(z.string(), z.int())
    .check(z.describe('How many notifications had each outcome, by its name.')),
})

export const health = z.object({
  status: z.literal('ok'),
  edgeCache: z
    .boolean()
    .check(z.describe('Whether the Worker serves links through the edge cache.')),
  images: z
    .optional(z.boolean())
    .check(z.describe('Present and `true` if links can show resized images.')),
  warnings: z
    .optional(z.array(z.string()))
    .check(z.describe('What you should change although the Worker works.')),
})

const errorMembers = {
  message: text('For people.'),
  code: errorCode,
  requestId: z.uuid().check(z.describe('Also in the header `X-Request-Id` and in the log.')),
  reason: z
    .optional(reason)
    .check(
      z.describe('Why, for `unauthenticated`, `link_invalid`, `misconfigured` and `unavailable`.'),
    ),
  deleted: z
    .optional(z.boolean())
    .check(
      z.describe(
        'Present and `true` if the object is deleted, although the request to delete it has failed.',
      ),
    ),
  etag: z
    .optional(z.nullable(z.string()))
    .check(
      z.describe('For `precondition_failed`: the ETag of the object, or null without an object.'),
    ),
  issues: z.optional(z.array(issue)).check(z.describe('Present if single members are wrong.')),
}

export const error = z.object(errorMembers)

export const uppyError = z.object({ error: text('The same as `message`.'), ...errorMembers })

export const uppyForm = z.object({
  method: z.literal('POST'),
  url: url('Where to POST the form.'),
  fields: headers('The fields before the file in the form, in this order.'),
  expires: seconds(),
})

export const uppyStartedUpload = z.object({
  key: objectKey(),
  uploadId: text('Bound to key, bucket and principal.'),
  bucket: text("The bucket's own name."),
})

export const uppyPartList = z.array(
  z.object({
    PartNumber: z.int(),
    Size: bytes('Bytes.'),
    ETag: etag(),
    LastModified: text('As the bucket reports it.'),
  }),
)

export const uppyPartUrl = z.object({ url: url('Where to PUT the part.'), expires: seconds() })

export const uppyPartUrls = z.object({
  presignedUrls: z
    .record(z.string().check(z.regex(/^\d+$/)), z.url())
    .check(z.describe('Where to PUT each part, by its number.')),
})

export const uppyLocation = z.object({
  location: url('URL of the object, without a signature.'),
  key: objectKey(),
  bucket: text("The bucket's own name."),
})

export const nothing = z.strictObject({})

export const signedRequest = z.object({
  url: url('Where to send the request.'),
  key: text('Created by the server at the start of an upload.'),
  headers: z.optional(
    headers('The headers that the client must send unchanged at the start of an upload.'),
  ),
})

const named = {
  ApiErrorCode: errorCode,
  Scope: scope,
  Reason: reason,
  Issue: issue,
  ItemError: itemError,
  RefusedFile: refusedFile,
  ListedFile: listedFile,
  Folder: folder,
  Group: group,
  StoredObject: storedObject,
  BucketLimits: bucketLimits,
  ReceivedFile: receivedFile,
  CopiedFiles: copiedFiles,
  Deleted: deletedFiles,
  Purged: purgedCopies,
  Error: error,
  FilePage: filePage,
  ObjectPage: objectPage,
  Erasure: erasure,
  IndexPage: indexPage,
  PutRecords: putRecords,
  FileRecord: fileRecord,
  FileUrl: fileUrl,
  FileUrls: fileUrls,
  Grant: grant,
  GrantPage: grants,
  DropBox: dropBox,
  DropBoxPage: dropBoxes,
  DropBoxToken: dropBoxToken,
  ReceivedPage: receivedFiles,
  Health: health,
  Link: link,
  Links: links,
  FolderLink: folderLink,
  Limits: limits,
  PartList: partList,
  PartUrls: partUrls,
  RecordedFile: recordedFile,
  RecordedFiles: recordedFiles,
  RefusedKey: refusedKey,
  SettledNotifications: settledNotifications,
  SignedRequest: signedRequest,
  StartedUpload: startedUpload,
  Stats: stats,
  Token: token,
  UpkeepStatus: upkeepStatus,
  UpkeepWalk: upkeepWalk,
  Orphans: orphans,
  DeletedOrphans: deletedOrphans,
  KeptRecords: keptRecords,
  RestoredRecords: restoredRecords,
  UploadUrl: uploadUrl,
  UploadUrls: uploadUrls,
  UppyError: uppyError,
  UppyForm: uppyForm,
  UppyLocation: uppyLocation,
  UppyNothing: nothing,
  UppyPartList: uppyPartList,
  UppyPartUrl: uppyPartUrl,
  UppyPartUrls: uppyPartUrls,
  UppyStartedUpload: uppyStartedUpload,
}

for (const [id, schema] of Object.entries(named)) answers.add(schema, { id })
