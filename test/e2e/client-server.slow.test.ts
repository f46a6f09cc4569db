import { afterAll, beforeAll, describe } from 'vitest'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { type ServerContext, startServerContext } from './server-sdk/context.ts'
import { uploadRules } from './server-sdk/uploads.ts'
import { sharedCeph } from './shared.ts'
import { describeWith, RADOSGW } from './system-package.ts'

function declare(start: (options: S3ServerOptions) => Promise<S3Server>, isCeph: boolean): void {
  let started: ServerContext | undefined
  const context = () => {
    if (started === undefined) throw new Error('The server is not running.')
    return started
  }
  beforeAll(async () => {
    started = await startServerContext(start)
  })
  afterAll(() => started?.close())

  uploadRules(context, isCeph)
}

describe('the server client with s3rver', () => declare(startS3rver, false))
describeWith([RADOSGW], 'the server client with Ceph RGW', () => declare(sharedCeph, true))
