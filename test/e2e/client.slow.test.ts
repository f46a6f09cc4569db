import { afterAll, beforeAll, describe } from 'vitest'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { largeFileRules, resumeRules } from './client/large-files.ts'
import { uppyHelperRules } from './client/uppy-helper.ts'
import { sharedCeph } from './shared.ts'
import { CHROMIUM, describeWith, RADOSGW } from './system-package.ts'

function startWith(start: (options: S3ServerOptions) => Promise<S3Server>): () => ClientContext {
  let started: ClientContext | undefined
  beforeAll(async () => {
    started = await startClientContext(start)
  })
  afterAll(() => started?.close())
  return () => {
    if (started === undefined) throw new Error('The server is not running.')
    return started
  }
}

// What depends on the bucket's answers. client-r2.slow.test.ts has the other rules.
describeWith([CHROMIUM, RADOSGW], 'the client in Chromium with Ceph RGW', () => {
  const context = startWith(sharedCeph)
  describe('large files', () => largeFileRules(context))
  describe('an interruption', () => resumeRules(context))
  describe('with Uppy', () => uppyHelperRules(context, 'Ceph RGW'))
})

describeWith([CHROMIUM], 'the client in Chromium with s3rver', () => {
  const context = startWith(startS3rver)
  describe('with Uppy', () => uppyHelperRules(context, 's3rver'))
})
