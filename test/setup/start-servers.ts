import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import type {} from '../support/provided-context.ts'
import { countingProxy } from './counting-proxy.ts'
import { faultyServer } from './faulty-server.ts'
import { quietDisconnects } from './quiet-disconnects.ts'

// Loaded by Node itself. An import through Vite would get a different copy of s3rver's modules,
// which the changes in cli/ would not reach.
const require = createRequire(import.meta.url)
const { startS3rver }: typeof import('../../cli/s3rver.ts') = require('../../cli/s3rver.ts')
const { startR2 }: typeof import('../../tools/dev/r2.ts') = require('../../tools/dev/r2.ts')

/**
 * Vitest's global setup of the Worker tests: starts the servers that act as buckets on the chosen
 * ports. Also filters workerd's messages about them from the output.
 */
export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const endQuiet = quietDisconnects()
  const ports = project.getProvidedContext().testPorts
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const s3 = await startS3rver({
    port: ports.s3,
    directory,
    otherBuckets: ['archive', 'walked'],
    corsOrigins: ['http://localhost:8787'],
  })
  // More than a second passes between two writes.
  let milliseconds = Date.now()
  const r2 = await startR2(
    { port: ports.r2, directory: join(directory, 'r2'), corsOrigins: ['http://localhost:8787'] },
    () => {
      milliseconds += 1001
      return milliseconds
    },
  )
  const servers = [
    await listen(countingProxy(ports.s3), ports.counting),
    await listen(faultyServer(), ports.faulty),
  ]
  return async () => {
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
    await s3.close()
    await r2.close()
    await rm(directory, { recursive: true })
    endQuiet()
  }
}

async function listen(server: Server, port: number): Promise<Server> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}
