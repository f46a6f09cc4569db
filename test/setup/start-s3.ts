import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startS3rver } from '../../dev/s3rver.ts'
import '../support/provided-context.ts'

/** Vitest's global setup of the Worker tests: one s3rver for all, whose endpoint they `inject`. */
export default async function startS3(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const server = await startS3rver({ port: 0, directory, corsOrigins: ['http://localhost:8787'] })
  project.provide('s3Endpoint', server.endpoint)
  return async () => {
    await server.close()
    await rm(directory, { recursive: true })
  }
}
