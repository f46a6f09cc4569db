import { afterAll, beforeAll } from 'vitest'
import { startS3rver } from '../../cli/s3rver.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { resumeRules } from './client/large-files.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

describeWith([CHROMIUM], 'the client in Chromium', () => {
  let started: ClientContext | undefined
  beforeAll(async () => {
    started = await startClientContext(startS3rver)
  })
  afterAll(() => started?.close())

  resumeRules(() => {
    if (started === undefined) throw new Error('The server is not running.')
    return started
  })
})
