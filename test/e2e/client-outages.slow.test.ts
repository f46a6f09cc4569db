import { afterAll, beforeAll } from 'vitest'
import { startCeph } from '../../cli/ceph.ts'
import { type ClientContext, startClientContext } from './client/context.ts'
import { outageRules } from './client/outages.ts'
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
    // It kills the server, so it can't share one.
    beforeAll(async () => {
      started = await startClientContext(startCeph)
    })
    afterAll(() => started?.close())

    outageRules(context)
  },
)
