import {
  CreateBucketCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startChild } from '../../cli/child.ts'
import { freePort } from '../../cli/ports.ts'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { answers, waitUntil } from '../../cli/wait-until.ts'
import { createPresigner, defineSettings, type PresignerOptions } from '../../src/index.ts'
import { copies } from '../../src/plugins/copies/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { memoryFileIndex } from '../../src/testing.ts'
import { ANN } from '../support/ann.ts'
import { type Capabilities, type Context, sdkClient, startContext } from './contract/context.ts'
import { copyRules } from './contract/copies.ts'
import { describeWith, MOTO } from './system-package.ts'

const MIB = 1024 ** 2
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

describeWith([MOTO], 'moto', () => {
  describe('with the built Worker', () => {
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
  })

  describe('with objects above the size of one copy', () => {
    let server: S3Server
    let s3: S3Client
    beforeAll(async () => {
      server = await startMoto({ otherBuckets: ['archive'] })
      s3 = sdkClient(server, server)
    })
    afterAll(async () => {
      s3?.destroy()
      await server?.close()
    })

    /** A presigner that copies whole objects up to 6 MiB, and larger ones in the smallest parts of S3. */
    function presigner(more: Partial<PresignerOptions> = {}) {
      const { endpoint, region } = server
      const table = { endpoint, region, addressing: 'path', credentials: KEY } as const
      const sizes = { wholeBytes: 6 * MIB, partBytes: 5 * MIB }
      const { app } = createPresigner(
        defineSettings(() => ({
          signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
          buckets: {
            files: { ...table, bucket: 'files' },
            archive: { ...table, bucket: 'archive' },
          },
        })),
        {
          plugins: [files({ index: memoryFileIndex() }), copies({ maxRequests: 20 }, sizes)],
          authenticate: () => ANN,
          log: () => undefined,
          ...more,
        },
      )
      return async (kind: 'copy' | 'move', body: object) => {
        const response = await app.request(`/files/${kind}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        })
        const answer: { cursor?: string; [name: string]: unknown } = await response.json()
        return { ...answer, status: response.status }
      }
    }

    const bytes = Buffer.alloc(38 * MIB).map((_, i) => (i / MIB) ^ (i % 251))
    const put = (Key: string) =>
      s3.send(
        new PutObjectCommand({
          ...{ Bucket: 'files', Key, Body: bytes, ContentType: 'video/mp4' },
          ...{ Metadata: { color: 'red' }, Tagging: 'team=web' },
        }),
      )
    const tagsOf = async (Bucket: string, Key: string) =>
      (await s3.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet

    it('moves one in parts to another bucket, with its metadata, and leaves no parts', async () => {
      await put('film.mp4')
      const send = presigner()
      const file = { from: 'film.mp4', to: 'old/film.mp4', toBucket: 'archive' }
      let answer = await send('move', file)
      for (let calls = 1; answer.status === 202; calls += 1) {
        expect(calls).toBeLessThan(4)
        answer = await send('move', { ...file, cursor: answer.cursor })
      }
      expect(answer).toMatchObject({ status: 201, key: 'old/film.mp4', size: bytes.length })
      const object = { Bucket: 'archive', Key: 'old/film.mp4' }
      const { Body, ContentType, Metadata } = await s3.send(new GetObjectCommand(object))
      expect([ContentType, Metadata?.color]).toEqual(['video/mp4', 'red'])
      expect(bytes.equals((await Body?.transformToByteArray()) ?? Buffer.alloc(0))).toBe(true)
      const missing = new GetObjectCommand({ Bucket: 'files', Key: 'film.mp4' })
      await expect(s3.send(missing)).rejects.toMatchObject({ name: 'NoSuchKey' })
      for (const Bucket of ['files', 'archive'])
        expect((await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? []).toEqual(
          [],
        )
    })

    it('gives a whole copy the tags of its source, or those of the app', async () => {
      const object = { Bucket: 'files', Key: 'a.txt', Body: 'text', ContentType: 'text/plain' }
      await s3.send(new PutObjectCommand({ ...object, Tagging: 'team=web' }))
      expect(await presigner()('copy', { from: 'a.txt', to: 'b.txt' })).toMatchObject({
        status: 201,
      })
      expect(await tagsOf('files', 'b.txt')).toEqual([{ Key: 'team', Value: 'web' }])
      const tagged = presigner({ beforeUpload: () => ({ tags: { of: 'the app' } }) })
      expect(await tagged('copy', { from: 'a.txt', to: 'c.txt' })).toMatchObject({ status: 201 })
      expect(await tagsOf('files', 'c.txt')).toEqual([{ Key: 'of', Value: 'the app' }])
    })
  })
})
