import { afterAll, beforeAll, describe } from 'vitest'
import { startR2 } from '../../tools/dev/r2.ts'
import { callRules } from './client/calls.ts'
import { changedFileRules } from './client/changed-files.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { failureRules } from './client/failures.ts'
import { largeFileRules, manyPartsRules, resumeRules } from './client/large-files.ts'
import { slowLineRules } from './client/slow-lines.ts'
import { tabRules } from './client/tabs.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

describeWith([CHROMIUM], 'the client in Chromium with a simulated R2', () => {
  let started: ClientContext | undefined
  const context = () => {
    if (started === undefined) throw new Error('The server is not running.')
    return started
  }
  beforeAll(async () => {
    started = await startClientContext(startR2)
  })
  afterAll(() => started?.close())

  describe('many parts', () => manyPartsRules(context))
  describe('large files', () => largeFileRules(context))
  describe('an interruption', () => resumeRules(context))
  describe('errors', () => failureRules(context))
  describe('calls', () => callRules(context))
  describe('changed files', () => changedFileRules(context))
  describe('two tabs', () => tabRules(context))
  describe('slow lines', () => slowLineRules(context))
})
