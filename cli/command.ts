/** What the commands have in common: how they read their options, and how they end. */
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** An error that the user can fix. Any other error is a bug. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Runs a command. Resolves with its exit code, which is 1 after a UsageError, whose message is printed. */
export async function runCommand(work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(error.message)
    return 1
  }
}

/** Returns what is wrong with an option, without Node's advice about arguments that start with "-". */
export const parsingError = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(
    /\. To specify a positional .*/s,
    '.',
  )

/** The options of every command that calls a Worker. */
export const WORKER_OPTIONS = {
  help: { type: 'boolean', default: false },
  url: { type: 'string' },
  'key-from': { type: 'string', default: 'EDGE_PRESIGNER_KEY' },
} as const

/** Reads a command line. Throws UsageError, with the usage, for an unknown or incomplete option. */
export function parseOptions<const Config extends ParseArgsConfig>(
  config: Config,
  usage: string,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config)
  } catch (error) {
    throw new UsageError(`${parsingError(error)}\n\n${usage}`)
  }
}
