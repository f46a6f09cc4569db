import { CreateBucketCommand, GetObjectTaggingCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startChild } from '../../cli/child.ts'
import { freePort } from '../../cli/ports.ts'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { answers, waitUntil } from '../../cli/wait-until.ts'
import { type Capabilities, type Context, sdkClient, startContext } from './contract/context.ts'
import { copyRules } from './contract/copies.ts'
import { describeWith, MOTO } from './system-package.ts'

const KEY = { accessKeyId: 'MOTO', secretAccessKey: 'MOTOSECRET' }

/** It keeps objects in memory, and checks no signatures. */
async function startMoto({ otherBuckets = [] }: Partial<S3ServerOptions> = {}): Promise<S3Server> {
  const port = await freePort()
  const args = ['-H', '127.0.0.1', '-p', String(port)]
  const moto = await startChild('/usr/bin/moto_server', args, { stdio: 'ignore' })
  const endpoint = `http://127.0.0.1:${port}`
  await waitUntil('moto', () => answers(endpoint), 60)
  const server: S3Server = {
    ...{ name: 'moto', endpoint, region: 'us-east-1', bucket: 'files' },
    virtualEndpoint: `http://s3.localhost:${port}`,
    ...{ ...KEY, writer: KEY, close: () => moto.close() },
  }
  const s3 = sdkClient(server, server)
  for (const Bucket of ['files', ...otherBuckets])
    await s3.send(new CreateBucketCommand({ Bucket }))
  s3.destroy()
  return server
}

const CAPABILITIES: Capabilities = {
  ...{ unsigned: 403, expired: 403, limitsWriter: false, checksClock: false, virtualHosts: false },
  ...{ keepsEmptySegments: true, normalizesKeys: false, conditionalPut: true },
  ...{ copiesObjects: true, takesForms: true, readsParts: true },
}

describeWith([MOTO], 'copies by moto, for the built Worker', () => {
  let context: Context | undefined
  const running = (): Context => {
    if (context === undefined) throw new Error('The server is not running.')
    return context
  }
  beforeAll(async () => {
    context = await startContext(startMoto, CAPABILITIES)
  })
  afterAll(() => context?.close())

  copyRules(running, CAPABILITIES)

  it('have the tags of their source, also in another bucket', async () => {
    const { withD1: api, s3 } = running()
    const object = { Bucket: 'files', Key: 'tagged.txt', Body: 'text', ContentType: 'text/plain' }
    await s3.send(new PutObjectCommand({ ...object, Tagging: 'team=web' }))
    await api.transfer('move', { from: 'tagged.txt', to: 'moved.txt', toBucket: 'archive' })
    const moved = { Bucket: 'cold-store', Key: 'moved.txt' }
    const { TagSet } = await s3.send(new GetObjectTaggingCommand(moved))
    expect(TagSet).toEqual([{ Key: 'team', Value: 'web' }])
  })
})
