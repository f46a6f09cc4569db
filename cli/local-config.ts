import { basename, dirname, join } from 'node:path'
import * as z from 'zod/mini'
import { replaceText, requireIgnored, textIfThere } from './replace-text.ts'
import { keptSecret, localKey, localKeyFrom } from './worker-env.ts'
import { loadWrangler } from './wrangler.ts'

/** The configuration for plain `wrangler dev`. Git ignores it, because it has secrets. */
export const LOCAL_CONFIG = 'wrangler.local.toml'

/** Where `wrangler dev` serves its R2 buckets over S3. */
export const LOCAL_R2_PATH = '/cdn-cgi/local/r2/s3'

/** Fails for every command of wrangler except `dev`. */
const ONLY_DEV = `node -e "if (process.env.WRANGLER_COMMAND !== 'dev') throw '${LOCAL_CONFIG} is only for wrangler dev.'"`

/** What names a host, an account or another environment, and what no local Worker needs. */
const OF_DEPLOYMENT = new Set([
  ...['$schema', 'env', 'route', 'routes', 'account_id'],
  ...['LINK_ORIGIN', 'OPEN_ACCESS'],
])

/** What a bucket's table says about its server. */
const OF_SERVER =
  /^(?:endpoint|publicEndpoint|region|bucket|addressing|\w*[cC]redentials|uploadHeaders|conditional\w+)$/

const tables = z.record(z.string(), z.record(z.string(), z.unknown()))
const configSchema = z.looseObject({
  name: z.string(),
  vars: z._default(z.looseObject({ BUCKETS: z._default(tables, { files: {} }) }), {
    BUCKETS: { files: {} },
  }),
  build: z._default(z.looseObject({ command: z.optional(z.string()) }), {}),
})

/**
 * Writes the configuration for plain `wrangler dev` next to `config`: the same Worker, with an API key and
 * with wrangler's own R2 instead of each bucket. Keeps the secrets of an earlier file. Returns the API key.
 */
export async function writeLocalConfig(config: string, port: number): Promise<string> {
  const { experimental_readRawConfig } = await loadWrangler()
  const read = configSchema.parse(experimental_readRawConfig({ config }).rawConfig)
  const file = join(dirname(config), LOCAL_CONFIG)
  await requireIgnored(file)
  const before = await textIfThere(file)
  const kept = (line: RegExp) => keptSecret(file, line)
  const apiKey = localKeyFrom(await kept(/^# The API key is ep_localhost_(.+)\.$/m))
  const secretAccessKey = await kept(/^"LOCAL_R2_SECRET_ACCESS_KEY" = "(.+)"$/m)
  const accessKeyId = 'LOCALR2'
  const buckets = Object.entries(read.vars.BUCKETS)
  const nameOf = (alias: string) => `local-${alias}`
  const { build } = read
  const local = {
    ...without(read, (name) => OF_DEPLOYMENT.has(name)),
    name: `${read.name}-local`,
    dev: { port },
    build: {
      ...build,
      command: build.command === undefined ? ONLY_DEV : `${ONLY_DEV} && ${build.command}`,
    },
    r2_buckets: buckets.map(([alias], index) => ({
      binding: `LOCAL_R2_${index + 1}`,
      bucket_name: nameOf(alias),
      local_dev: { experimental_s3_credentials: { accessKeyId, secretAccessKey } },
    })),
    vars: {
      ...without(read.vars, (name) => OF_DEPLOYMENT.has(name)),
      BUCKETS: Object.fromEntries(
        buckets.map(([alias, table]) => [
          alias,
          {
            ...without(table, (name) => OF_SERVER.test(name)),
            endpoint: `http://localhost:${port}${LOCAL_R2_PATH}`,
            ...{ region: 'auto', bucket: nameOf(alias), credentials: 'LOCAL_R2' },
            ...{ conditionalPut: true, conditionalReplace: true },
          },
        ]),
      ),
      LOCAL_R2_ACCESS_KEY_ID: accessKeyId,
      LOCAL_R2_SECRET_ACCESS_KEY: secretAccessKey,
      SIGNING_SECRETS: `local:${await kept(/^"SIGNING_SECRETS" = "local:(.+)"$/m)}`,
      API_KEYS: [localKey(apiKey)],
    },
  }
  const text = `# Written by "edge-presigner dev --wrangler" from ${basename(config)}. Never commit this file.
# The API key is ${apiKey}.
${toToml(local)}`
  await replaceText(file, before, text, 0o600)
  return apiKey
}

const without = (table: object, isLeftOut: (name: string) => boolean): object =>
  Object.fromEntries(Object.entries(table).filter(([name]) => !isLeftOut(name)))

/** Returns a configuration as TOML. Strings have the escapes of JSON. */
function toToml(config: object): string {
  const [plain, tables] = [false, true].map((wanted) =>
    Object.entries(config).filter(([, value]) => isTable(value) === wanted),
  )
  return [
    ...(plain ?? []).map(([name, value]) => `${name} = ${toInline(value)}\n`),
    ...(tables ?? []).map(([name, value]) => `\n[${name}]\n${membersOf(value).join('\n')}\n`),
  ].join('')
}

const isTable = (value: unknown): boolean => typeof value === 'object' && !Array.isArray(value)

const membersOf = (table: object): string[] =>
  Object.entries(table)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)} = ${toInline(value)}`)

function toInline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toInline).join(', ')}]`
  if (typeof value === 'object' && value !== null) return `{ ${membersOf(value).join(', ')} }`
  return JSON.stringify(value)
}
