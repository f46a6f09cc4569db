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

// By Node itself: what Vite imports here is another copy of s3rver's modules than s3rver requires, so
// that the changes in dev/ would not reach it.
const { startS3rver }: typeof import('../../dev/s3rver.ts') = createRequire(import.meta.url)(
  '../../dev/s3rver.ts',
)

/**
 * Vitest's global setup of the Worker tests: the servers that stand for buckets, on the ports that
 * were chosen. Also keeps what workerd says of them from the output.
 */
export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const endQuiet = quietDisconnects()
  const ports = project.getProvidedContext().testPorts
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const s3 = await startS3rver({
    port: ports.s3,
    directory,
    corsOrigins: ['http://localhost:8787'],
  })
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
    await rm(directory, { recursive: true })
    endQuiet()
  }
}

async function listen(server: Server, port: number): Promise<Server> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}
