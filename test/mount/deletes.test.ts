import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  createPresigner,
  type DeleteAnswer,
  defineSettings,
  type FileEvent,
  type StoredFile,
} from '../../src/index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, settingsInput } from '../support/app.ts'
import { bucketFetch } from '../support/bucket.ts'
import { bearer, testApiKey } from '../support/credentials.ts'
import { credentials, everyPlugin } from '../support/every-plugin.ts'
import { putChosen, putUnder } from '../support/links.ts'
import { clientOf, type Mounted, mount } from '../support/mount.ts'

afterEach(() => vi.restoreAllMocks())

const exists = async (key: string) => (await bucketFetch(key)).status === 200
const refuse = (): DeleteAnswer => ({ refuse: 'This file is in use.' })
const removeOne = (app: Mounted, key: string) =>
  app.fetch(`/media/files/${encodeURIComponent(key)}`, { method: 'DELETE' })
const removeMany = (app: Mounted, keys: readonly string[]) =>
  app.post('/media/files/delete', { keys })

describe('beforeDelete', () => {
  // @threat delete-refused
  it('refuses a delete before anything happens', async () => {
    const key = await putChosen('kept.png', 'pixels')
    const events: FileEvent[] = []
    const beforeDelete = vi.fn(refuse)
    const app = mount({
      beforeDelete,
      events: { onEvent: (event) => void events.push(event) },
    })
    await app.post('/media/files', { key })
    const response = await removeOne(app, key)
    expect(response.status).toBe(403)
    const refusal = { code: 'forbidden', message: 'This file is in use.' }
    expect(await jsonOf(response)).toMatchObject(refusal)
    expect(await exists(key)).toBe(true)
    expect(events.map(({ type }) => type)).toEqual(['recorded'])
    const principal = expect.objectContaining({ id: 'app:ann' })
    const context = expect.objectContaining({ req: expect.anything() })
    expect(beforeDelete.mock.calls).toEqual([
      [{ bucket: 'files', key, kind: 'request' }, principal, context],
    ])
  })

  // @threat delete-refused
  it('that refuses one file of many leaves it, and the others are deleted', async () => {
    const [a, b, c] = [
      await putChosen('a.png', 'a'),
      await putChosen('b.png', 'b'),
      await putChosen('c.png', 'c'),
    ]
    const asked: string[] = []
    const beforeDelete = async ({ key }: StoredFile) => {
      asked.push(key)
      return key === b ? refuse() : undefined
    }
    const response = await removeMany(mount({ beforeDelete }), [a, b, c, b, '../x'])
    const error = { code: 'forbidden', message: 'This file is in use.' }
    expect(await jsonOf(response)).toEqual({
      deleted: [
        { key: a },
        { key: b, error },
        { key: c },
        { key: b, error },
        { key: '../x', error: expect.objectContaining({ code: 'invalid_key' }) },
      ],
    })
    expect(asked).toEqual([a, b, c])
    expect([await exists(a), await exists(b), await exists(c)]).toEqual([false, true, false])
  })

  it.each([undefined, null, {}])('that returns %j accepts the delete', async (answer) => {
    const key = await putChosen('gone.png', 'pixels')
    const app = mount({ beforeDelete: () => answer as undefined })
    expect((await removeOne(app, key)).status).toBe(204)
    expect(await exists(key)).toBe(false)
  })

  it('that is an async function without a result accepts the delete', async () => {
    const asked: string[] = []
    const beforeDelete = async ({ key }: StoredFile) => void asked.push(key)
    const key = await putChosen('noted.png', 'pixels')
    expect((await removeOne(mount({ beforeDelete }), key)).status).toBe(204)
    expect(asked).toEqual([key])
  })

  // @threat delete-refused
  it.each([
    false,
    'no',
    new Error('no'),
    new Map([['refuse', 'no']]),
    { refuse: '' },
    { refuse: 1 },
    { refused: 'yes' },
  ])('that returns %o is an error in the app: answers 500 and deletes nothing', async (answer) => {
    const [a, b] = [await putChosen('a.png', 'a'), await putChosen('b.png', 'b')]
    const app = mount({ beforeDelete: ({ key }) => (key === b ? (answer as never) : undefined) })
    expect((await removeOne(app, b)).status).toBe(500)
    expect(app.lines[0]?.reason).toContain('beforeDelete returned an invalid value')
    expect((await removeMany(app, [a, b])).status).toBe(500)
    expect([await exists(a), await exists(b)]).toEqual([true, true])
  })

  it('is not called for what the principal may not delete', async () => {
    const beforeDelete = vi.fn(refuse)
    const inside = mount({ beforeDelete, authenticate: () => ({ ...ANN, prefix: 'team-a/' }) })
    expect((await removeOne(inside, 'team-b/x.png')).status).toBe(403)
    expect((await removeMany(inside, ['team-b/x.png'])).status).toBe(200)
    const reader = mount({ beforeDelete, authenticate: () => ({ ...ANN, scopes: ['files:read'] }) })
    expect((await removeOne(reader, 'x.png')).status).toBe(403)
    expect((await removeMany(reader, ['x.png'])).status).toBe(403)
    expect(beforeDelete).not.toHaveBeenCalled()
  })

  // @threat delete-refused
  it('is the only option that a presigner without a host app needs', async () => {
    const key = await putChosen('alone.png', 'pixels')
    const { entry, token } = await testApiKey('app', ['files:delete'])
    const presigner = createPresigner(
      defineSettings(() => settingsInput()),
      {
        plugins: [...everyPlugin(), ...credentials({ apiKeys: { keys: [entry] } })],
        beforeDelete: refuse,
        log: () => undefined,
      },
    )
    const path = `/files/${encodeURIComponent(key)}`
    const response = await clientOf(presigner).fetch(path, { method: 'DELETE', ...bearer(token) })
    expect(response.status).toBe(403)
    expect(await exists(key)).toBe(true)
  })
})

it('a file that somebody uploads during a delete is not attributed to the user who deletes', async () => {
  const key = await putChosen('avatar.png', 'first')
  const events: FileEvent[] = []
  const app = mount({
    events: {
      async onEvent(event) {
        events.push(event)
        if (event.type === 'deleted') await putUnder(key, 'second')
      },
    },
  })
  await app.post('/media/files', { key })
  const later = setTimeout
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((act: () => void, wait: number) =>
    later(act, wait === 1100 ? 0 : wait)) as typeof setTimeout)
  expect((await removeOne(app, key)).status).toBe(204)
  expect(events).toMatchObject([
    { type: 'recorded', principal: 'app:ann', file: { owner: 'app:ann', size: 5 } },
    { type: 'deleted', principal: 'app:ann' },
    { type: 'recorded', principal: null, file: { owner: null, size: 6 } },
  ])
})
