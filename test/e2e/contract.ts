import { afterAll, beforeAll, beforeEach, describe, expect, it, type RunnerTask } from 'vitest'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { bucketRules } from './contract/buckets.ts'
import { chosenKeyRules } from './contract/chosen-keys.ts'
import { type Capabilities, type Context, startContext } from './contract/context.ts'
import { copyRules } from './contract/copies.ts'
import { erasureRules } from './contract/erasure.ts'
import { flowRules } from './contract/flow.ts'
import { formRules } from './contract/forms.ts'
import { keyRules } from './contract/keys.ts'
import { linkRules } from './contract/links.ts'
import { multipartRules } from './contract/multipart.ts'
import { objectRules } from './contract/objects.ts'
import { partRules } from './contract/parts.ts'
import { tamperingRules } from './contract/tampering.ts'
import { uploadRules } from './contract/uploads.ts'

/** By what a server lacks, the tests that fail there: "describe > test". */
export type Gaps = Readonly<Record<string, readonly string[]>>

/**
 * Declares the rules for the built Worker with any S3 server, here the one that `start` starts. A test
 * in `gaps` must fail, so the table loses it when the server gains what it lacked.
 */
export function declareContract(
  start: (options: S3ServerOptions) => Promise<S3Server>,
  capabilities: Capabilities,
  gaps: Gaps = {},
): void {
  let started: Context | undefined
  const context = (): Context => {
    if (started === undefined) throw new Error('The server is not running.')
    return started
  }
  beforeAll(async () => {
    started = await startContext(start, capabilities)
  })
  afterAll(() => started?.close())
  const failing = Object.values(gaps).flat()
  beforeEach(({ task }) => {
    if (failing.includes(nameInContract(task))) Object.assign(task, { fails: true })
  })
  if (failing.length > 0)
    it('has the tests that the table of gaps names', ({ task }) => {
      const names = testsBelow(task.file).map(nameInContract)
      expect(failing.filter((name) => !names.includes(name))).toEqual([])
    })

  describe('the flow of a file', () => flowRules(context))
  describe('links', () => linkRules(context))
  describe('conditions of an upload', () => uploadRules(context, capabilities))
  describe('uploads with a form', () => formRules(context))
  describe('multipart uploads', () => multipartRules(context, capabilities))
  describe('parts of an upload, at the server itself', () => partRules(context, capabilities))
  describe('keys with every kind of character', () => keyRules(context, capabilities))
  describe('the list of objects', () => objectRules(context, capabilities))
  describe('everything below a prefix', () => erasureRules(context, capabilities))
  describe('a chosen key', () => chosenKeyRules(context, capabilities))
  describe('copies and moves', () => copyRules(context, capabilities))
  describe('buckets and credentials', () => bucketRules(context, capabilities))
  describe('tampering with a URL', () => tamperingRules(context, capabilities))
}

const nameInContract = ({ suite, name }: RunnerTask): string => `${suite?.name} > ${name}`

const testsBelow = (task: RunnerTask): RunnerTask[] =>
  task.type === 'suite' ? task.tasks.flatMap(testsBelow) : [task]
