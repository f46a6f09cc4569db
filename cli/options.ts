import { networkInterfaces } from 'node:os'
import { parseArgs } from 'node:util'
import { DATA_FOLDER } from './embedded-bucket.ts'

/** The options of `npx edge-presigner dev`. */
export interface DevOptions {
  readonly help: boolean
  /** Whether to run the Worker with all plugins, which only a clone has. */
  readonly all: boolean
  /** Whether to only write the configuration for plain `wrangler dev`. */
  readonly wrangler: boolean
  /** The file that gets the settings of the embedded bucket, which then starts without a Worker. */
  readonly bucket: string | undefined
  /** Whether to use Ceph RGW instead of the embedded S3 server. */
  readonly ceph: boolean
  /** The port of the Worker. */
  readonly port: number
  readonly s3Port: number
  /** Folder for everything that is kept between runs. */
  readonly data: string
  /** Origins of pages that may use the Worker and the embedded bucket, in addition to localhost. */
  readonly origins: readonly string[]
  /** The IPv4 address of this machine to listen on for other machines and containers. */
  readonly host: string | undefined
  /** The file with the variables of a real bucket. Replaces the embedded S3 server. */
  readonly envFile: string | undefined
  /** The file with more variables for the Worker of the embedded S3 server. */
  readonly vars: string | undefined
}

/** The usage text of `npx edge-presigner dev`. */
export const USAGE = `usage: npx edge-presigner dev [options]
  --port N          port of the Worker (8787)
  --s3-port N       port of the embedded S3 server (4568)
  --data DIR        folder for the files, the index and the secrets (${DATA_FOLDER})
  --origin ORIGIN   also allow pages of this origin, such as https://app.example.com (repeatable)
  --host [ADDRESS]  also listen for phones and containers; the default is the first IPv4 address of this
                    machine. Everyone on that network can then use the embedded bucket without a key
  --vars FILE       add the variables of FILE, such as WEBHOOKS, to those of the embedded bucket
  --env-file FILE   use the bucket and the settings of FILE, without an S3 server
  --bucket FILE     start only the embedded bucket, and add its settings to FILE, for an app that has
                    the API itself
  --ceph            use Ceph RGW instead of the embedded S3 server
  --wrangler        write wrangler.local.toml for \`npx wrangler dev -c wrangler.local.toml\`, and exit
  --all             in a clone: run the Worker of examples/everything, which has all plugins`

/**
 * Reads the command line. Throws an Error with a one-line message for invalid options. `addresses`
 * are the IPv4 addresses of this machine that others can reach.
 */
export function readOptions(
  args: readonly string[],
  addresses: readonly string[] = ownAddresses(),
): DevOptions {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    args: args.map((arg, i) =>
      arg === '--host' && (args[i + 1] ?? '-').startsWith('-') ? '--host=' : arg,
    ),
    options: {
      help: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
      wrangler: { type: 'boolean', default: false },
      bucket: { type: 'string' },
      ceph: { type: 'boolean', default: false },
      port: { type: 'string', default: '8787' },
      's3-port': { type: 'string' },
      data: { type: 'string', default: DATA_FOLDER },
      origin: { type: 'string', multiple: true, default: [] },
      host: { type: 'string' },
      'env-file': { type: 'string' },
      vars: { type: 'string' },
    },
  })
  // npm keeps options that come before `--` for itself, and passes on only their values.
  if (positionals.length > 0)
    throw new Error(
      `Unexpected argument ${positionals[0]}. With npm run, write -- before the options: npm run dev -- --port 8799.`,
    )
  const { help, all, wrangler, bucket, ceph, data, origin: origins } = values
  const { 'env-file': envFile, vars } = values
  const port = toPort(values.port, '--port')
  const s3Port = toPort(values['s3-port'] ?? '4568', '--s3-port')
  if (port === s3Port) throw new Error('--port and --s3-port must differ.')
  if (data === '') throw new Error('--data must name a folder.')
  if (envFile === '') throw new Error('--env-file must name a file.')
  if (vars === '') throw new Error('--vars must name a file.')
  if (bucket === '') throw new Error('--bucket must name a file.')
  const isWorker = [envFile, vars, values.host].some((given) => given !== undefined)
  if (bucket !== undefined && (isWorker || all || wrangler || ceph))
    throw new Error(
      '--bucket starts no Worker. Combine it only with --s3-port, --data and --origin.',
    )
  if (envFile !== undefined && vars !== undefined)
    throw new Error("--vars can't be combined with --env-file. Add the variables to that file.")
  if (envFile !== undefined && (ceph || values['s3-port'] !== undefined))
    throw new Error(
      "--env-file can't be combined with --ceph or --s3-port, since it starts no S3 server.",
    )
  for (const origin of origins)
    if (!/^https?:[^*]*$/.test(origin) || URL.parse(origin)?.origin !== origin)
      throw new Error('--origin must be an origin without a path, such as https://app.example.com.')
  const host = values.host === undefined ? undefined : toAddress(values.host, addresses)
  if (host !== undefined && ceph)
    throw new Error("--host can't be combined with --ceph, whose access keys everyone knows.")
  return { help, all, wrangler, bucket, ceph, port, s3Port, data, origins, host, envFile, vars }
}

function toPort(value: string, option: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0
  if (port < 1 || port > 65_535) throw new Error(`${option} must be a port from 1 to 65535.`)
  return port
}

/** Returns the first of `addresses`, or the one that `value` names. */
function toAddress(value: string, addresses: readonly string[]): string {
  const [first] = addresses
  if (first === undefined)
    throw new Error('--host: this machine has no IPv4 address that others can reach.')
  if (value === '') return first
  if (addresses.includes(value)) return value
  throw new Error(`--host must be an IPv4 address of this machine: ${addresses.join(' or ')}.`)
}

/** Returns the IPv4 addresses of this machine, without loopback addresses. */
const ownAddresses = (): readonly string[] =>
  Object.values(networkInterfaces())
    .flat()
    .filter((address) => address?.family === 'IPv4' && !address.internal)
    .map((address) => address?.address ?? '')
