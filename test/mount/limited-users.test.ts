import { describe, expect, it } from 'vitest'
import type { AppPrincipal, FileEvent, Principal } from '../../src/index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, type SettingsChanges, settingsInput, upload } from '../support/app.ts'
import { type Mounted, type MountOptions, mount } from '../support/mount.ts'

const [FILES] = Object.values(settingsInput().buckets)
if (FILES === undefined) throw new Error('There is a bucket.')
const settings: SettingsChanges = { buckets: { files: FILES, archive: FILES } }
const file = { fileName: 'cat.png', mimetype: 'image/png' }

const limited = (limits: AppPrincipal['limits'], more: MountOptions = {}): Mounted =>
  mount({ settings, authenticate: () => ({ ...ANN, limits }), ...more })

async function expectCode(response: Response, expected: string): Promise<void> {
  const { code } = await jsonOf<{ code?: string }>(response)
  expect(`${response.status} ${code}`).toBe(expected)
}

/** Asks for an upload URL, also with the token of such a user. */
async function asksOf(app: Mounted) {
  const minted = await app.post('/media/tokens', { scopes: ['files:upload', 'files:read'] })
  const { token } = await jsonOf<{ token: string }>(minted)
  return ['/media', `/media/u/${token}`].map(
    (base) => (request: object) => app.post(`${base}/files/upload-url`, request),
  )
}

describe('the limits of a user from authenticate', () => {
  // @threat app-user-unlimited
  it('bound the size, the type, the lifetime and the bucket, also of tokens', async () => {
    const app = limited({
      buckets: ['archive'],
      maxBytes: 100,
      allowedTypes: ['IMAGE/*'],
      maxExpiresIn: 60,
    })
    for (const ask of await asksOf(app)) {
      await expectCode(await ask(file), '400 size_required')
      await expectCode(await ask({ ...file, size: 101 }), '413 file_too_large')
      const text = { fileName: 'a.txt', mimetype: 'text/plain', size: 1 }
      await expectCode(await ask(text), '400 mimetype_not_allowed')
      const sized = { ...file, size: 100 }
      await expectCode(await ask({ ...sized, expiresIn: 61 }), '400 invalid_expiry')
      await expectCode(await ask({ ...sized, bucket: 'files' }), '403 forbidden')
      const signed = await ask(sized)
      expect(await jsonOf(signed)).toMatchObject({ bucket: 'archive', expiresIn: 60 })
    }
    expect(await jsonOf(await app.fetch('/media/limits'))).toMatchObject({
      buckets: [{ bucket: 'archive', maxBytes: 100, allowedTypes: ['image/*'] }],
    })
    const link = { delivery: 'redirect' }
    await expectCode(await app.post('/media/files/a.png/link', link), '403 forbidden')
  })

  // @threat app-user-unlimited
  it('can not be exceeded by a token that the user mints', async () => {
    const app = limited({ maxBytes: 100, buckets: ['archive'] })
    for (const wider of [{ maxBytes: 101 }, { buckets: ['files'] }]) {
      const body = { scopes: ['files:upload'], ...wider }
      await expectCode(await app.post('/media/tokens', body), '403 forbidden')
    }
  })

  it('reach beforeUpload, and an empty object limits nothing', async () => {
    const seen: Principal[] = []
    const beforeUpload = (_: unknown, principal: Principal) => void seen.push(principal)
    const app = limited({ maxBytes: 100 }, { beforeUpload })
    await app.post('/media/files/upload-url', { ...file, size: 5 })
    const none = { buckets: null, maxBytes: null, allowedTypes: null, maxExpiresIn: null }
    expect(seen).toMatchObject([{ id: 'app:ann', limits: { ...none, maxBytes: 100 } }])
    const free = limited({}, { beforeUpload })
    expect((await free.post('/media/files/upload-url', file)).status).toBe(200)
    expect(seen[1]).toMatchObject({ limits: none })
  })

  // @threat app-user-unlimited
  it.each<readonly [string, unknown, RegExp]>([
    ['null', null, /limits/],
    ['an unknown member', { maxByte: 1 }, /maxByte/],
    ['no buckets', { buckets: [] }, /buckets/],
    ['an unknown bucket', { buckets: ['files', 'secret'] }, /the unknown bucket "secret"/],
    ['a bucket that is not a string', { buckets: [1] }, /buckets\.0/],
    ['a size of zero', { maxBytes: 0 }, /maxBytes/],
    ['a size as text', { maxBytes: '5' }, /maxBytes/],
    ['half a byte', { maxBytes: 1.5 }, /maxBytes/],
    ['no types', { allowedTypes: [] }, /allowedTypes/],
    ['a type with a parameter', { allowedTypes: ['a/b;c=d'] }, /allowedTypes\.0 must be a type/],
    ['a lifetime of one second', { maxExpiresIn: 1 }, /maxExpiresIn/],
    ['an endless lifetime', { maxExpiresIn: Infinity }, /maxExpiresIn/],
  ])('that are %s are a mistake of the app: 500', async (_, limits, reason) => {
    const app = limited(limits as AppPrincipal['limits'])
    await expectCode(await app.post('/media/files/upload-url', file), '500 internal')
    expect(app.lines[0]?.reason).toMatch(/authenticate returned/)
    expect(app.lines[0]?.reason).toMatch(reason)
  })
})

describe('the context of a user from authenticate', () => {
  const context = { tenant: 'acme', seats: [1, null] }
  const watched = (given: unknown) => {
    const seen: FileEvent[] = []
    const app = mount({
      authenticate: () => ({ ...ANN, context: given }),
      events: { onEvent: (event) => void seen.push(event) },
    })
    return { app, seen }
  }

  it('comes back in events, also of a token', async () => {
    const { app, seen } = watched(context)
    const minted = await app.post('/media/tokens', { scopes: ['files:upload'] })
    const { token } = await jsonOf<{ token: string }>(minted)
    for (const base of ['/media', `/media/u/${token}`]) {
      const key = await upload(app, base)
      expect((await app.post(`${base}/files`, { key })).status).toBe(201)
    }
    expect(seen).toMatchObject([{ context }, { context }])
  })

  // @threat app-user-context
  it('can not be replaced by a token that the user mints', async () => {
    const { app } = watched(context)
    const mint = (given: unknown) =>
      app.post('/media/tokens', { scopes: ['files:upload'], context: given })
    await expectCode(await mint({ tenant: 'other' }), '403 forbidden')
    expect((await mint(context)).status).toBe(200)
    expect(
      (
        await watched(undefined).app.post('/media/tokens', {
          scopes: ['files:upload'],
          context: { tenant: 'other' },
        })
      ).status,
    ).toBe(200)
  })

  it('is a copy that nobody can change', async () => {
    const given = { tenant: 'acme' }
    const { app, seen } = watched(given)
    const key = await upload(app, '/media')
    await app.post('/media/files', { key })
    given.tenant = 'changed'
    expect(seen).toMatchObject([{ context: { tenant: 'acme' } }])
    expect(Object.isFrozen(given)).toBe(false)
  })

  it.each([
    ['more than 1 KB', 'x'.repeat(1024)],
    ['a function', () => 1],
    ['a BigInt', 7n],
  ])('that is %s is a mistake of the app: 500', async (_, given) => {
    const { app } = watched(given)
    await expectCode(await app.fetch('/media/limits'), '500 internal')
    expect(app.lines[0]?.reason).toContain('invalid principal: context must be JSON')
  })
})
