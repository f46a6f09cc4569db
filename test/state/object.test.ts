import { createExecutionContext } from 'cloudflare:test'
import { expect, it } from 'vitest'
import { createPresigner, defineSettings, type LogLine } from '../../src/index.ts'
import { configure, newApp, type Plugin } from '../../src/plugin-api.ts'
import { callObject, stateObject, warnWithout } from '../../src/state/object.ts'
import { jsonOf, ORIGIN, settingsInput } from '../support/app.ts'

/** Returns the answer of an app that needs the class, and its /healthz. */
async function answersWith(className: string) {
  const lines: LogLine[] = []
  const probe: Plugin = {
    name: 'probe',
    open: newApp().get('/probe', async (c) => {
      await configure(c)
      return c.text(await callObject(c, async () => typeof stateObject(c, className, 'a')))
    }),
    setup: () => ({ warnings: warnWithout(className, 'grants need Durable Objects') }),
  }
  const presigner = createPresigner(
    defineSettings(() => settingsInput()),
    { plugins: [probe], log: (line) => void lines.push(line) },
  )
  const get = (path: string) =>
    presigner.fetch(new Request(`${ORIGIN}${path}`), {}, createExecutionContext())
  const [probed, health] = [await get('/probe'), await jsonOf(await get('/healthz'))]
  return { status: probed.status, text: await probed.text(), health, lines }
}

it('finds a class that the Worker exports and declares', async () => {
  const { status, text, health } = await answersWith('Grants')
  expect([status, text]).toEqual([200, 'object'])
  expect(health).not.toHaveProperty('warnings')
})

// A class that is exported and not declared: test/e2e/grants-migrations.slow.test.ts.
it('says where to declare a class that is not exported, and /healthz warns', async () => {
  const { status, text, health, lines } = await answersWith('Nowhere')
  expect(status).toBe(503)
  expect(JSON.parse(text)).toMatchObject({
    code: 'misconfigured',
    message: expect.stringMatching(/^Nowhere is not .* docs\/share\.md#set-it-up\.$/),
  })
  expect(lines[0]).toMatchObject({ code: 'misconfigured', reason: 'Nowhere' })
  expect(health).toMatchObject({ status: 'ok', warnings: ['grants need Durable Objects'] })
})
