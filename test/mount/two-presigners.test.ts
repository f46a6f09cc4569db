import { describe, expect, it } from 'vitest'
import { createPresigner, defineSettings, type SettingsInput } from '../../src/index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, type SettingsChanges, settingsInput } from '../support/app.ts'
import { clientOf } from '../support/mount.ts'

const bucketOf = (name: string): SettingsInput['buckets'] => {
  const [bucket] = Object.values(settingsInput().buckets)
  return { files: { ...bucket, bucket: name } } as SettingsInput['buckets']
}
const PHOTOS = { buckets: bucketOf('photos') }
const [A, B, C] = ['a', 'b', 'c'].map((letter) => `k${letter}:${letter.repeat(32)}`)

const presigner = (changes: SettingsChanges) =>
  clientOf(
    createPresigner(
      defineSettings(() => settingsInput(changes)),
      { plugins: [tokens()], authenticate: () => ANN, log: () => undefined },
    ),
  )

const issuesOf = async (app: ReturnType<typeof presigner>) =>
  (await jsonOf(await app.fetch('/healthz'))).issues

const refused = [
  {
    path: 'name',
    message: 'must differ from that of another presigner with the same signingSecrets',
  },
]

describe('two presigners of one Worker', () => {
  // @threat instance-confused
  it('with the same secrets need different names, whichever is asked first', async () => {
    for (const isReversed of [false, true]) {
      const apps = [presigner({}), presigner(PHOTOS)]
      const asked = isReversed ? apps.toReversed() : apps
      const found = []
      for (const app of asked) found.push(await issuesOf(app))
      expect(isReversed ? found.toReversed() : found).toEqual([undefined, refused])
    }
  })

  // @threat instance-confused
  it('sign nothing for the token of the other', async () => {
    const [one, two] = [presigner({}), presigner(PHOTOS)]
    const made = await one.post('/tokens', { scopes: ['files:read'], expiresIn: 60 })
    const { token } = await jsonOf<{ token: string }>(made)
    const headers = { Authorization: `Bearer ${token}` }
    expect((await one.fetch('/files/a.png/url', { headers })).status).toBe(200)
    expect((await two.fetch('/files/a.png/url', { headers })).status).toBe(503)
  })

  it.each<[string, SettingsChanges, SettingsChanges, boolean]>([
    ['different names', { name: 'a' }, { name: 'b', ...PHOTOS }, true],
    ['a name and none', { name: 'a' }, PHOTOS, true],
    ['one name', { name: 'a' }, { name: 'a', ...PHOTOS }, false],
    ['other secrets', { signingSecrets: `${A}` }, { signingSecrets: `${B}`, ...PHOTOS }, true],
    [
      'a shared older secret',
      { signingSecrets: `${A},${B}` },
      { signingSecrets: `${C},${B}`, ...PHOTOS },
      false,
    ],
    ['the same buckets', { corsOrigins: ['https://a.example'] }, {}, true],
    [
      'another alias',
      {},
      { buckets: { more: Object.values(bucketOf('files'))[0] } as never },
      false,
    ],
  ])('with %s', async (_, one, two, isAllowed) => {
    const apps = [presigner(one), presigner(two)] as const
    expect(await issuesOf(apps[0])).toBeUndefined()
    expect(await issuesOf(apps[1])).toEqual(isAllowed ? undefined : refused)
  })

  it('are those that were created before a request, so a module that is loaded again is not', async () => {
    expect(await issuesOf(presigner({}))).toBeUndefined()
    expect(await issuesOf(presigner(PHOTOS))).toBeUndefined()
  })

  it('may be invalid each for itself', async () => {
    const apps = [presigner({ signingSecrets: '' }), presigner(PHOTOS)] as const
    expect(await issuesOf(apps[1])).toBeUndefined()
  })
})
