import { beforeAll, expect, it } from 'vitest'
import { SCOPES } from '../../src/access/scopes.ts'
import type { FileEvent } from '../../src/index.ts'
import { jsonOf, settingsInput, upload } from '../support/app.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { type Mounted, mount } from '../support/mount.ts'
import { putPart } from '../support/parts.ts'
import { beginUpload, completeXml, formRequest, sign } from '../support/uppy.ts'
import { testWorker } from '../support/worker.ts'

const CONTEXT = { plan: 'pro', tenant: [7, null] }
const ALICE = { principal: 'key:app/alice', subject: 'alice', context: CONTEXT }

let apiKey: TestApiKey
let token: string

beforeAll(async () => {
  apiKey = await testApiKey('app', SCOPES)
  // A Worker with the same secrets as the app below.
  const worker = testWorker({ API_KEYS: [apiKey.entry], OPEN_ACCESS: undefined })
  const request = { scopes: SCOPES, subject: 'alice', context: CONTEXT }
  const minted = await worker.post('/tokens', request, bearer(apiKey.token))
  token = (await jsonOf<{ token: string }>(minted)).token
})

/** An app whose bucket accepts no forms, and its events. */
function listening(): { readonly app: Mounted; readonly events: FileEvent[] } {
  const events: FileEvent[] = []
  const { files } = settingsInput().buckets
  if (files === undefined) throw new Error('There is no such bucket.')
  const app = mount({
    authenticate: undefined as never,
    apiKeys: { keys: [apiKey.entry] },
    settings: { buckets: { files: { ...files, postUploads: false } } },
    events: { onEvent: (event) => void events.push(event) },
  })
  return { app, events }
}

/** Requests of Alice, as a page that can't send headers. */
const ofAlice = (app: Mounted): Mounted => ({
  ...app,
  fetch: (path, init) => app.fetch(path.startsWith('/') ? `/media/u/${token}${path}` : path, init),
  post: (path, body, init) => app.post(`/media/u/${token}${path}`, body, init),
})

const whoIn = (events: readonly FileEvent[]) =>
  events.map(({ principal, subject, context }) => ({ principal, subject, context }))

it('a record and a delete tell the app who the user is, with the context of the token', async () => {
  const { app, events } = listening()
  const alice = ofAlice(app)
  const key = await upload(app, `/media/u/${token}`)
  expect((await alice.post('/files', { key, name: 'a.png' })).status).toBe(201)
  const path = `/files/${encodeURIComponent(key)}`
  expect((await alice.fetch(path, { method: 'DELETE' })).status).toBe(204)
  expect(events.map(({ type }) => type)).toEqual(['recorded', 'deleted'])
  expect(whoIn(events)).toEqual([ALICE, ALICE])
})

it('an upload by a form of the Worker keeps the context', async () => {
  const { app, events } = listening()
  const asked = await ofAlice(app).fetch('/s3/params?filename=a.txt&type=text/plain')
  const { url, fields } = await jsonOf<{ url: string; fields: Record<string, string> }>(asked)
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  form.set('file', new Blob(['hello']), 'a.txt')
  expect((await app.fetch(url, await formRequest(form))).status).toBe(201)
  expect(whoIn(events)).toEqual([ALICE])
})

it('an upload by the steps of signRequest keeps the context', async () => {
  const { app, events } = listening()
  const alice = ofAlice(app)
  const { key, uploadId } = await beginUpload(alice)
  const part = await sign(alice, { method: 'PUT', key, uploadId, partNumber: 1 })
  const body = completeXml([await putPart(part.url, 'hello')])
  const { url } = await sign(alice, { method: 'POST', key, uploadId })
  expect((await app.fetch(url, { method: 'POST', body })).status).toBe(200)
  expect(whoIn(events)).toEqual([ALICE])
})
