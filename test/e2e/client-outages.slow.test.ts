import { afterAll, beforeAll, describe } from 'vitest'
import { startCeph } from '../../dev/ceph.ts'
import { changedFileRules } from './client/changed-files.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { outageRules } from './client/outages.ts'
import { tabRules } from './client/tabs.ts'
import { CHROMIUM, describeWith, RADOSGW } from './system-package.ts'

describeWith(
  [CHROMIUM, RADOSGW],
  'the client in Chromium, while Ceph RGW and the Worker go down and come back,',
  () => {
    let started: ClientContext | undefined
    const context = () => {
      if (started === undefined) throw new Error('The server is not running.')
      return started
    }
    beforeAll(async () => {
      started = await startClientContext(startCeph)
    })
    afterAll(() => started?.close())

    describe('outages', () => outageRules(context))
    describe('two tabs', () => tabRules(context))
    describe('changed files', () => changedFileRules(context))
  },
)
