import { randomBytes } from 'node:crypto'
import type { Answers, BucketTable } from './answers.ts'
import { VERSIONS } from './versions.ts'

export const DOCS = 'https://github.com/edge-presigner/edge-presigner/blob/main/docs'

/** The bucket of a project that has none yet. The Worker refuses this name, and says why. */
const PLACEHOLDER: BucketTable = {
  endpoint: 'https://s3.us-east-1.amazonaws.com',
  region: 'us-east-1',
  bucket: 'my-bucket',
  addressing: 'virtual',
  credentials: 'S3',
  uploadCredentials: 'S3_WRITE',
}

/** The file that only the user may read. */
export const SECRETS_FILE = '.dev.vars'

/** What makes each file of a project, by path. */
const FILES: Readonly<Record<string, (answers: Answers) => string>> = {
  'package.json': (answers) => `${JSON.stringify(manifest(answers), null, 2)}\n`,
  'src/worker.ts': () => WORKER,
  'wrangler.toml': wranglerToml,
  [SECRETS_FILE]: devVars,
  'api-keys.json': () => '[]\n',
  '.gitignore': () => GITIGNORE,
  'README.md': readme,
}

export const PATHS: readonly string[] = Object.keys(FILES)

/** Returns the files of a project by path. */
export const projectFiles = (answers: Answers): ReadonlyMap<string, string> =>
  new Map(Object.entries(FILES).map(([path, make]) => [path, make(answers)]))

const manifest = ({ name }: Answers) => ({
  name,
  private: true,
  type: 'module',
  scripts: {
    dev: 'edge-presigner dev',
    doctor: 'edge-presigner doctor',
    keys: 'edge-presigner keys',
    deploy: 'edge-presigner deploy',
  },
  dependencies: { 'edge-presigner': `^${VERSIONS.presigner}`, hono: VERSIONS.hono },
  devDependencies: {
    '@20minutes/s3rver': VERSIONS.s3rver,
    // The commands run on this Node, whatever the machine has.
    node: VERSIONS.node,
    wrangler: VERSIONS.wrangler,
  },
  engines: { node: '>=20' },
  // npm asks about install scripts. The first installs its program, the others check theirs.
  allowScripts: { node: true, esbuild: true, workerd: true },
})

/** The Worker of a project. `npm run template` writes that of the repository from it, src/worker.ts. */
export const WORKER = `import * as edge from 'edge-presigner/worker'
import * as cloudflare from 'edge-presigner/cloudflare'

const { presigner, handler } = edge.createWorker({
  plugins: [
    // files(), multipart(), links() with resized images, events(), tokens(), jwt() and apiKeys(). Each plugin reads its variables
    // and bindings: ${DOCS}/configuration.md
    ...Object.values(edge.defaultPlugins()),

    // To add a plugin, remove the "// " before it. All others stay out of your bundle.
    // Uploads by Uppy's own protocol, versions 2 to 6: ${DOCS}/uppy.md
    // edge.uppy(),
    // Copies and moves files within a bucket: ${DOCS}/files.md#copy-or-move-files
    // edge.copies(),
    // Lists what is in the bucket, and imports and copies the index: ${DOCS}/import-and-repair.md#move-the-list-to-d1
    // edge.fileAdmin(),
    // Deletes or exports everything of one person: ${DOCS}/files.md#delete-a-users-files
    // edge.userData(),
    // Records uploads that no browser confirms, from the bucket's own reports: ${DOCS}/import-and-repair.md#bucket-notifications
    // edge.notifications(),
    // Compares bucket and index, and repairs the index: ${DOCS}/import-and-repair.md#repair
    // edge.upkeep(),
    // Limited links, which count their uses and can be revoked: ${DOCS}/share.md
    // edge.grants(),
    // Pages where anybody can send you files: ${DOCS}/share.md
    // edge.dropBoxes(),
  ],
})

// Reads objects for links, behind Workers Caching.
export class Objects extends cloudflare.objectsEntrypoint(presigner) {}

// The Durable Objects of upkeep(), grants() and dropBoxes(). Each also has a block in wrangler.toml.
// export class Upkeep extends cloudflare.upkeepObject(presigner) {}
// export { Grants } from 'edge-presigner/cloudflare'
// export class DropBoxes extends cloudflare.dropBoxesObject(presigner) {}

export default handler
`

const GITIGNORE = `node_modules/
.wrangler/
.dev/
*.vars
*.env
.env.*
wrangler.local.toml
`

/** Returns the text in quotes. TOML's basic strings have the escapes of JSON. */
const quoted = (value: string): string => JSON.stringify(value)

function wranglerToml({ name, bucket, appOrigin, page }: Answers): string {
  const { uploadCredentials, ...table } = bucket ?? PLACEHOLDER
  const members = Object.entries(table).map(([member, value]) => `${member} = ${quoted(value)}`)
  const writer = uploadCredentials && [
    '# A second access key that can only write, for uploads.',
    `uploadCredentials = ${quoted(uploadCredentials)}`,
  ]
  const origins = [
    ...(appOrigin === undefined ? ['# [vars]'] : ['[vars]']),
    `${appOrigin === undefined ? '# ' : ''}CORS_ORIGINS = [${quoted(appOrigin ?? 'https://app.example.com')}]`,
  ]
  return `#:schema node_modules/wrangler/config-schema.json
name = ${quoted(name)}
main = "src/worker.ts"
minify = true
keep_names = false
upload_source_maps = true
compatibility_date = "2026-11-01"
# Without it, requests to other Workers of your account fail with error 1042: webhooks, and the key set of a JWT issuer.
compatibility_flags = ["global_fetch_strictly_public"]

# The Worker's host until it has a custom domain. Then set this to false, because the rules of your zone don't apply to this host.
workers_dev = true
# Off, because each old version would have its own URL, on which API keys and secrets that you have removed still work.
preview_urls = false

# Off, because Cloudflare's invocation logs contain whole URLs, including object keys, signatures and tokens.
[observability.logs]
enabled = true
invocation_logs = false

# The index of uploaded files. Without an id, the first deploy creates the namespace.
[[kv_namespaces]]
binding = "FILE_INDEX"

# An index in D1, with search, order, folders and totals: ${DOCS}/files.md#search-sort-and-count-files. It replaces FILE_INDEX.
# Without an id, \`edge-presigner dev\` and the first deploy create the database.
# [[d1_databases]]
# binding = "FILES_DB"

# Requests per minute for one principal, or for one client network without valid credentials, in each location.
[[ratelimits]]
name = "RATE_LIMITER"
namespace_id = "8787"
simple = { limit = 1200, period = 60 }
${page ? PAGE : ''}
# Resizes images for links with a width. Each new size of an image is billed after 5,000 in a month.
[images]
binding = "IMAGES"

# Variables go here, above the first bucket. Pages on another origin than the Worker need CORS_ORIGINS.
${origins.join('\n')}

# Each bucket has a table. The table's name is the alias that requests use. The first bucket is the default.
# ${bucket === undefined ? 'This one is a placeholder. ' : ''}Tables of other providers: ${DOCS}/deploy.md#providers
[vars.BUCKETS.files]
${[...members, ...(writer ?? [])].join('\n')}

# Workers Caching keeps only the objects behind links. It is off for the API.
[cache]
enabled = false

[exports.default]
type = "worker"
cache = { enabled = false }

[exports.Objects]
type = "worker"
cache = { enabled = true }

# Durable Objects of the plugins grants(), dropBoxes() and upkeep(). Remove the "# " of a block together with the lines of its plugin
# in src/worker.ts.
# [exports.Grants]
# type = "durable-object"
# storage = "sqlite"
#
# [exports.DropBoxes]
# type = "durable-object"
# storage = "sqlite"
#
# [exports.Upkeep]
# type = "durable-object"
# storage = "sqlite"

# When upkeep() compares the buckets with the index: each hour.
# [triggers]
# crons = ["7 * * * *"]
`
}

const PAGE = `
# The page at \`/\`. The Worker runs first, and handles every other path.
[assets]
directory = "node_modules/edge-presigner/dist/page"
binding = "ASSETS"
run_worker_first = true
`

/** The secrets that a deploy needs, and the descriptions that the deploy button shows. */
export function secretNames({ bucket }: Pick<Answers, 'bucket'>): readonly string[] {
  const { credentials, uploadCredentials } = bucket ?? PLACEHOLDER
  const names = uploadCredentials === undefined ? [credentials] : [credentials, uploadCredentials]
  return names.flatMap((name) => [`${name}_ACCESS_KEY_ID`, `${name}_SECRET_ACCESS_KEY`])
}

function devVars({ bucket }: Answers): string {
  const { uploadCredentials } = bucket ?? PLACEHOLDER
  const [id, secret, ...writer] = secretNames({ bucket })
  return `# Secrets of the Worker. Never commit this file. \`edge-presigner doctor\` reads it, and \`edge-presigner deploy\` sends it to Cloudflare.
# The access key of your bucket: ${DOCS}/security.md#least-privilege-keys
${id}=
${secret}=
${
  uploadCredentials === undefined
    ? ''
    : `# A second one that can only write, for uploads.${bucket === undefined ? ' Cloudflare R2 has none: remove `uploadCredentials` from wrangler.toml.' : ''}
${writer.map((name) => `${name}=`).join('\n')}
`
}# Signs links, tokens and cursors. Made for this project: store a copy, because Cloudflare never shows it again.
SIGNING_SECRETS=k1:${randomBytes(32).toString('hex')}
`
}

function readme({ name, provider, page }: Answers): string {
  const worker = `https://${name}.YOUR-SUBDOMAIN.workers.dev`
  return `# ${name}

Signed URLs for the files of a private bucket: [edge-presigner](https://github.com/edge-presigner/edge-presigner) as a Cloudflare Worker.

| Command | What it does |
|---|---|
| \`npx edge-presigner dev\` | runs the Worker on http://localhost:8787, with a bucket on this machine. You need no account |
| \`npx edge-presigner doctor\` | checks the settings, the bucket and its CORS rules |
| \`npx edge-presigner keys\` | creates and revokes API keys |
| \`npx edge-presigner deploy\` | checks, sends the secrets, and deploys to Cloudflare |

These commands run on the Node that the package \`node\` installs, so your own may be older: ignore the \`EBADENGINE\` warnings of
\`npm install\`. npm may run its install script, because \`allowScripts\` in \`package.json\` lists it. pnpm asks you first: run
\`pnpm approve-builds --all\` after \`pnpm install\`. Yarn runs them on your own Node, which must be 24.

Before the first deploy:

1. ${provider === 'none' ? `Replace the bucket in \`wrangler.toml\` with [the table of your provider](${DOCS}/deploy.md#providers).` : 'Check the bucket in `wrangler.toml`.'}
2. Write the bucket's access keys into \`.dev.vars\`: [the rights that they need](${DOCS}/security.md#least-privilege-keys).
3. Run \`npx wrangler login\`, then \`npx edge-presigner deploy\`. The Worker is then at ${worker}${page ? ', with a page for uploads' : ''}.

To update, run \`npm update edge-presigner\`: [what to do next](${DOCS}/operate.md#update).

| File | |
|---|---|
| \`src/worker.ts\` | the plugins of the Worker |
| \`wrangler.toml\` | its [settings](${DOCS}/configuration.md) |
| \`.dev.vars\` | its secrets. Git ignores this file: keep a copy in a password manager |
| \`api-keys.json\` | digests of its API keys. Commit it |
`
}
