import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { waitUntil } from '../../../cli/wait-until.ts'

/** A program that runs until its scope ends. */
export interface NodeServer extends AsyncDisposable {
  readonly origin: string
}

/**
 * Starts `node` in `folder` with these variables and arguments, by default those of
 * examples/node-server. The program must print its origin.
 */
export async function startNodeServer(
  folder: string,
  variables: Readonly<Record<string, string>>,
  args: readonly string[] = ['src/main.ts'],
): Promise<NodeServer> {
  const child = spawn('node', args, {
    cwd: folder,
    env: { PATH: process.env.PATH, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  const printedOrigin = () => /http:\/\/localhost:\d+/.exec(output)?.[0]
  await waitUntil(
    'the server starts',
    async () => {
      if (child.exitCode !== null) throw new Error(`It ended: ${output}`)
      return printedOrigin() !== undefined
    },
    290,
  )
  return {
    origin: printedOrigin() ?? '',
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return
      child.kill()
      await once(child, 'exit')
    },
  }
}
