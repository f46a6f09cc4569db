/**
 * `npx edge-presigner COMMAND` runs a command for the project in the current folder. In a clone,
 * `npm run COMMAND` does the same.
 */
import packageJson from 'edge-presigner/package.json' with { type: 'json' }

type Command = (args: readonly string[]) => Promise<number>

/** The commands, with what they do. Each loads only what it needs. */
const COMMANDS = new Map<string, readonly [what: string, load: () => Promise<Command>]>([
  [
    'dev',
    ['starts a bucket, the page and the Worker here', async () => (await import('./dev.ts')).dev],
  ],
  [
    'doctor',
    [
      'checks the settings, the bucket and a Worker',
      async () => (await import('./doctor.ts')).doctor,
    ],
  ],
  [
    'keys',
    ['creates, rotates, revokes and sends API keys', async () => (await import('./keys.ts')).keys],
  ],
  [
    'index',
    [
      'copies, saves, restores and imports the records of files',
      async () => (await import('./index-command.ts')).index,
    ],
  ],
  [
    'upkeep',
    [
      'finds and repairs what bucket and index do not agree on',
      async () => (await import('./upkeep-command.ts')).upkeep,
    ],
  ],
  [
    'export',
    [
      'saves the records of files below a prefix, for a person or a report',
      async () => (await import('./export-command.ts')).exportFiles,
    ],
  ],
  [
    'delete-all',
    [
      'deletes everything below a prefix, such as the files of a person who leaves',
      async () => (await import('./delete-all-command.ts')).deleteAll,
    ],
  ],
  [
    'deploy',
    [
      'checks, sends the secrets, and deploys the Worker',
      async () => (await import('./deploy.ts')).deploy,
    ],
  ],
])

const WIDTH = Math.max(...Array.from(COMMANDS.keys(), (name) => name.length)) + 2

const USAGE = [
  'usage: npx edge-presigner COMMAND [options]',
  ...Array.from(COMMANDS, ([name, [what]]) => `  ${name.padEnd(WIDTH)}${what}`),
  'The command works in the current folder. COMMAND --help shows its options.',
].join('\n')

/** Runs a command. Resolves with the exit code. */
async function main([name, ...args]: readonly string[]): Promise<number> {
  const command = COMMANDS.get(name ?? '')
  // The scripts of package.json end with `--`. Without it, Node would read `--env-file` itself.
  if (command !== undefined) return (await command[1]())(args[0] === '--' ? args.slice(1) : args)
  if (name === '--version') console.log(packageJson.version)
  else if (name === '--help') console.log(USAGE)
  else console.error(name === undefined ? USAGE : `Unknown command "${name}".\n\n${USAGE}`)
  return name === '--version' || name === '--help' ? 0 : 1
}

// A reader such as `head` has read enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(1)
})
process.exitCode = await main(process.argv.slice(2))
if (process.argv[2] === 'dev') process.exit() // its servers may have connections left
