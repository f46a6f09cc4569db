import { afterAll, beforeAll, describe } from 'vitest'
import { startR2 } from '../../dev/r2.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { interruptedRules } from './client/interrupted.ts'
import { largeFileRules, resumeRules } from './client/large-files.ts'
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

  describe('large files', () => largeFileRules(context, 'simulated R2'))
  describe('an interruption', () => resumeRules(context, 'simulated R2'))
  describe('a network outage', () => interruptedRules(context))
  describe('two tabs', () => tabRules(context))
  describe('slow lines', () => slowLineRules(context))
})
