import { Hono } from 'hono'
import { newApp } from '../../src/http/new-app.ts'
import type { FileIndex } from '../../src/index.ts'
import { createPresigner, defineSettings, type Plugin, type RateLimiter } from '../../src/index.ts'
import { apiKeys } from '../../src/plugins/api-keys/index.ts'
import { events, type JobQueue } from '../../src/plugins/events/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { jwt } from '../../src/plugins/jwt/index.ts'
import { objectsEntrypoint } from '../../src/plugins/links/cloudflare.ts'
import { images } from '../../src/plugins/links/images/index.ts'
import type { ImageResizer } from '../../src/plugins/links/images/variant.ts'
import { links } from '../../src/plugins/links/index.ts'
import { type Multipart, multipart } from '../../src/plugins/multipart/index.ts'
import { notifications } from '../../src/plugins/notifications/index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { upkeep } from '../../src/plugins/upkeep/index.ts'
import { uppy } from '../../src/plugins/uppy/index.ts'
import { type BucketInput, createSigner } from '../../src/signer.ts'
import { ANN } from '../support/ann.ts'
import { settingsInput } from '../support/app.ts'

// Compiled but never run: each directive below is an error when its line compiles.

const settings = defineSettings(() => settingsInput())

createPresigner(settings, { authenticate: () => ({ ...ANN, expiresAt: new Date() }) })
createPresigner(settings, { authenticate: () => ({ ...ANN, limits: { buckets: ['files'] } }) })
createPresigner(settings, { authenticate: async () => ({ ...ANN, limits: { maxBytes: 3 } }) })
// @ts-expect-error
createPresigner(settings, { authenticate: () => ({ ...ANN, limits: { maxBytes: '3' } }) })
createPresigner(settings, {
  authenticate: () => ({ ...ANN, limits: { allowedTypes: ['image/*'] } }),
})
createPresigner(settings, { authenticate: () => ({ ...ANN, limits: { maxExpiresIn: 60 } }) })
// @ts-expect-error
createPresigner(settings, { rateLimit: () => ({ limit: async () => ({ success: true }) }) })
// @ts-expect-error: not from defineSettings
createPresigner(() => settingsInput())

createPresigner(settings, { beforeUpload: () => ({ key: 'a.png', overwrite: true }) })
// @ts-expect-error: a key has its own folder
createPresigner(settings, { beforeUpload: () => ({ key: 'a.png', directory: 'b' }) })
// @ts-expect-error: false is no answer
createPresigner(settings, { beforeUpload: () => false })
// @ts-expect-error: it must throw
createPresigner(settings, { plugins: [{ name: 'no', setup: () => ({ check: () => false }) }] })

const base = settingsInput()
defineSettings(() => ({ ...base, linkBase: 'https://a.example', linkHostOnly: true }))
// @ts-expect-error: a host of its own needs linkBase
defineSettings(() => ({ ...base, linkBase: undefined, linkHostOnly: true }))
const [bucket] = Object.values(base.buckets)
const sdk = { accessKeyId: 'id', secretAccessKey: 'secret', expiration: new Date() }
// @ts-expect-error: its members have other names
if (bucket) defineSettings(() => ({ ...base, buckets: { files: { ...bucket, credentials: sdk } } }))
const keyId = 'x-amz-server-side-encryption-aws-kms-key-id'
const bucketKey = 'x-amz-server-side-encryption-bucket-key-enabled'
const headers = { 'x-amz-server-side-encryption': 'aws:kms', [keyId]: 'a' } as const
const twice = { 'x-amz-server-side-encryption': 'aws:kms:dsse', [keyId]: 'a' } as const
const encrypted: readonly BucketInput['uploadHeaders'][] = [headers, twice]
// @ts-expect-error: only with aws:kms
const unencrypted: BucketInput['uploadHeaders'] = { [keyId]: 'a' }
// @ts-expect-error: not with aws:kms:dsse
const bucketKeys: BucketInput['uploadHeaders'] = { ...twice, [bucketKey]: 'true' }
if (bucket)
  for (const uploadHeaders of [...encrypted, unencrypted, bucketKeys])
    defineSettings(() => ({ ...base, buckets: { a: { ...bucket, uploadHeaders } } }))

const signer = createSigner(settings, {})
signer.uploadUrl({ fileName: 'a.png', mimetype: 'image/png', directory: 'a' })
// @ts-expect-error: only the API sends what keeps the object under a chosen key
signer.uploadUrl({ fileName: 'a.png', mimetype: 'image/png', key: 'a.png' })
// @ts-expect-error: its own, and the time's
signer.uploadUrl({ fileName: 'a.png', mimetype: 'image/png', seed: {} })

const issuer = { issuer: 'a', audience: 'b', algorithms: ['ES256'], prefix: '' }
jwt({ accept: { ...issuer, jwksUrl: 'https://a.example', scopesClaim: 'scope' } })
jwt({ accept: { ...issuer, publicJwk: { kty: 'EC' }, scopes: ['files:read'] } })
// @ts-expect-error: without the issuer's keys
jwt({ accept: { ...issuer, scopes: ['files:read'] } })
// @ts-expect-error: with two kinds of keys
jwt({ accept: { ...issuer, jwksUrl: 'a', publicJwk: { kty: 'EC' }, scopes: ['files:read'] } })
// @ts-expect-error: without scopes
jwt({ accept: { ...issuer, jwksUrl: 'https://a.example' } })
// @ts-expect-error: with two kinds of scopes
jwt({ accept: { ...issuer, jwksUrl: 'a', scopesClaim: 'scope', scopes: ['files:read'] } })
images({
  binding: () => undefined,
  sizes: [320, { width: 96 }, { width: 64, height: 64, fit: 'cover' }],
})
// @ts-expect-error: this fit needs a height
images({ binding: () => undefined, sizes: [{ width: 96, fit: 'cover' }] })
upkeep({ settings: { owner: 'users/{owner}/', ownerAs: 'app:{owner}' } })
// @ts-expect-error: it needs owner
upkeep({ settings: { ownerAs: 'app:{owner}' } })

/** An app of a plugin of the app's own, with variables of its own. */
const thumbnails = new Hono<{ Variables: { size: number } }>().get('/thumbnails/:key', (c) =>
  c.text(String(c.get('size'))),
)
createPresigner(settings, { plugins: [files(), { name: 'thumbnails', api: thumbnails }] })
// @ts-expect-error: a route that is added to a plugin would be in every other presigner too
files().api?.get('/files/:key/thumbnail', () => new Response())
// @ts-expect-error
createPresigner(settings, { plugins: [files] })
// @ts-expect-error
createPresigner(settings, { plugins: [{ name: 'thumbnails', routes: thumbnails }] })
// @ts-expect-error: it takes multipart() from the list
uppy({ multipart: multipart() })
const needy: Plugin<unknown, { readonly multipart: Multipart }> = {
  name: 'needy',
  needs: ['multipart'],
  open: ({ multipart: { steps } }) => newApp().get('/x', (c) => c.json(Object.keys(steps))),
}
createPresigner(settings, { plugins: [needy, multipart()] })
// @ts-expect-error: it isn't called like this
const other: typeof needy = { name: 'other', needs: ['parts'] }
createPresigner(settings, { plugins: [other] })

interface Bindings {
  readonly FILES: FileIndex
  readonly IMAGES: ImageResizer
  readonly QUEUE: JobQueue
  readonly LIMIT: RateLimiter
  readonly SECRET: string
}

const withEnv = defineSettings(({ SECRET: signingSecrets }: Bindings) =>
  settingsInput({ signingSecrets }),
)

// The settings give the environment to every plugin, without type arguments.
const all = createPresigner(withEnv, {
  plugins: [
    notifications({ secrets: (env) => env.SECRET }),
    files({ index: (env) => env.FILES }),
    links({ images: images({ binding: (env) => env.IMAGES, sizes: () => [64] }) }),
    events({
      onEvent: async ({ file }, { env, waitUntil }) =>
        waitUntil(env.FILES.get(file.bucket, file.key as never)),
      webhooks: (env) => [{ url: 'https://hooks.example', secret: env.SECRET }],
      queue: (env) => env.QUEUE,
    }),
    ...[tokens(), uppy(), multipart(), apiKeys({ keys: [] })],
    apiKeys({ keys: (env) => JSON.parse(env.SECRET) }),
    jwt({
      accept: (env) => ({
        ...{ issuer: env.SECRET, audience: 'a', algorithms: ['ES256'], prefix: '' },
        ...{ jwksUrl: 'https://issuer.example/jwks.json', scopes: ['files:read'] },
      }),
    }),
    {
      name: 'mine',
      setup: ({ env }) => ({ fileIndex: env.FILES }),
    },
  ],
  rateLimiter: (env) => env.LIMIT,
  authenticate: (c) => ({ ...ANN, id: c.env.SECRET }),
  beforeUpload: (_file, _principal, c) => ({ directory: c.env.SECRET }),
})
all satisfies { fetch(request: Request, env: Bindings): Promise<Response> }
new Hono<{ Bindings: Bindings }>().route('/media', all.app)
export class Objects extends objectsEntrypoint(all) {}
// @ts-expect-error: this environment has no bindings
all.fetch(new Request('https://app.example'), {})
// @ts-expect-error
all.instance({ FILES: undefined })

// Also with the settings in place, with one plugin, and in a list of their own.
createPresigner(
  defineSettings((env: Bindings) => settingsInput({ signingSecrets: env.SECRET })),
  {
    plugins: [
      files({ index: (env) => env.FILES }),
      links({
        images: images({ binding: (env) => env.IMAGES }),
        addressOf: (request, env) => request.headers.get(env.SECRET),
      }),
      events({ onEvent: (_, { env }) => env.QUEUE.sendBatch([]), queue: (env) => env.QUEUE }),
      notifications({ secrets: (env) => env.SECRET }),
    ],
  },
)
createPresigner(withEnv, { plugins: [files({ index: ({ FILES }) => FILES })] })
const listed: readonly Plugin<Bindings>[] = [files({ index: (env) => env.FILES }), tokens()]
createPresigner(withEnv, { plugins: listed })
// A plugin that needs less fits.
createPresigner(withEnv, {
  plugins: [files({ index: (env: Pick<Bindings, 'FILES'>) => env.FILES })],
})

// @ts-expect-error: a binding that the environment doesn't have
createPresigner(withEnv, { plugins: [files({ index: (env) => env.KV })] })
// @ts-expect-error: a binding of another kind
createPresigner(withEnv, { plugins: [files({ index: (env) => env.QUEUE })] })
// @ts-expect-error
createPresigner(withEnv, { plugins: [files({ index: (env: { OTHER: FileIndex }) => env.OTHER })] })
// @ts-expect-error
createPresigner(withEnv, { plugins: [links({ images: images({ binding: (env) => env.FILES }) })] })
// @ts-expect-error
createPresigner(withEnv, { plugins: [links({ images: images({ binding: (env) => env.PHOTOS }) })] })
// @ts-expect-error
createPresigner(withEnv, { plugins: [events({ queue: (env) => env.FILES })] })
// @ts-expect-error
createPresigner(withEnv, { plugins: [events({ onEvent: (_, { env }) => env.KV })] })
createPresigner(withEnv, {
  // @ts-expect-error
  plugins: [notifications({ secrets: (env) => env.QUEUE })],
})
// @ts-expect-error
createPresigner(withEnv, { rateLimiter: (env) => env.QUEUE })
// @ts-expect-error
createPresigner(withEnv, { authenticate: (c) => ({ ...ANN, id: c.env.USER }) })
createPresigner(
  defineSettings((_: Bindings) => settingsInput()),
  // @ts-expect-error
  { plugins: [files({ index: (env) => env.KV })] },
)

// Variables of the app need both type arguments.
interface Variables {
  user: string | null
}
const login = createPresigner<Bindings, Variables>(withEnv, {
  plugins: [files({ index: (env) => env.FILES }), tokens()],
  authenticate: ({ env, var: { user } }) => user && { ...ANN, id: user, prefix: `${env.SECRET}/` },
  beforeDelete: (_file, _principal, c) => ({ refuse: c.get('user') ?? undefined }),
})
new Hono<{ Bindings: Bindings; Variables: Variables }>().route('/media', login.app)
createPresigner<Bindings, Variables>(withEnv, {
  // @ts-expect-error
  authenticate: (c) => ({ ...ANN, id: c.get('name') }),
})
createPresigner<Bindings, Variables>(withEnv, {
  // @ts-expect-error
  authenticate: (c) => ({ ...ANN, id: c.get('user') }),
})
createPresigner<Bindings, Variables>(withEnv, {
  // @ts-expect-error
  plugins: [files({ index: (env) => env.KV })],
})
// @ts-expect-error: the settings need another environment
createPresigner<{ readonly OTHER: string }>(withEnv)

/** A function of the app that resolves with nothing. */
const notify = async (): Promise<void> => {}
createPresigner(settings, { plugins: [{ name: 'own', setup: () => ({ after: notify }) }] })
// @ts-expect-error: its checks would be missed
const late: Plugin = { name: 'own', setup: async () => ({ check: notify }) }
// @ts-expect-error: this would acknowledge the batches of every queue
const greedy: Plugin = { name: 'own', setup: () => ({ queue: notify }) }
createPresigner(settings, { plugins: [late, greedy] })
