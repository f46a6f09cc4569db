import { parseArgs } from 'node:util'

/** What `npm run dev` was asked for. */
export interface DevOptions {
  readonly help: boolean
  /** Ceph RGW in place of the embedded S3. */
  readonly ceph: boolean
  /** Where the Worker answers. */
  readonly port: number
  readonly s3Port: number
  /** Folder for all that outlives a run. */
  readonly data: string
}

/** How `npm run dev` is called. */
export const USAGE = 'usage: npm run dev -- [--ceph] [--port N] [--s3-port N] [--data DIR]'

/** Reads the command line. Throws an Error with a one-line message for what it doesn't know. */
export function readOptions(args: readonly string[]): DevOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', default: false },
      ceph: { type: 'boolean', default: false },
      port: { type: 'string', default: '8787' },
      's3-port': { type: 'string', default: '4568' },
      data: { type: 'string', default: '.dev' },
    },
  })
  const { help, ceph, data } = values
  const port = toPort(values.port, '--port')
  const s3Port = toPort(values['s3-port'], '--s3-port')
  if (port === s3Port) throw new Error('--port and --s3-port must differ.')
  if (data === '') throw new Error('--data must name a folder.')
  return { help, ceph, port, s3Port, data }
}

function toPort(value: string, option: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0
  if (port < 1 || port > 65_535) throw new Error(`${option} must be a port from 1 to 65535.`)
  return port
}
