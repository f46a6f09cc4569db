import { describe, expect, it } from 'vitest'
import { fullVariables, issuesOf, loads, paths } from '../../settings/variables.ts'
import { jsonOf } from '../../support/app.ts'
import { mount } from '../../support/mount.ts'

describe('API_KEYS', () => {
  const withKey = (changes: Record<string, unknown>) => {
    const [first, second] = fullVariables().API_KEYS
    return { API_KEYS: [first, { ...second, ...changes }] }
  }

  it.each([
    ['id', 'Canary'],
    ['id', ''],
    ['id', 'c'.repeat(33)],
    ['sha256', 'canary'],
    ['sha256', 'A'.repeat(64)],
    ['sha256', 'a'.repeat(63)],
    ['sha256', undefined],
    ['sha256', []],
    ['sha256', ['a', 'b', 'c'].map((digit) => digit.repeat(64))],
    ['scopes', []],
    ['scopes', 'files:read'],
    ['scopes', undefined],
    ['prefix', 'canary'],
    ['prefix', '../canary/'],
    ['prefix', '/'],
    ['prefix', 'canary//'],
    ['prefix', 'canary\n/'],
    ['prefix', 'canary/e\u0301/'],
    ['prefix', undefined],
    ['buckets', 'files'],
    ['buckets', []],
  ])('have a valid %s, not %j', (name, value) => {
    expect(paths(withKey({ [name]: value }))).toEqual([`API_KEYS.1.${name}`])
  })

  it('have two digests while a key is rotated, each valid', () => {
    expect(loads(withKey({ sha256: ['a'.repeat(64), 'b'.repeat(64)] }))).toBe(true)
    expect(paths(withKey({ sha256: ['a'.repeat(64), 'canary'] }))).toEqual(['API_KEYS.1.sha256.1'])
  })

  it('have buckets that exist', () => {
    const { BUCKETS } = fullVariables()
    const aliases = Object.keys(BUCKETS)
    expect(loads(withKey({ buckets: aliases }))).toBe(true)
    expect(issuesOf(withKey({ buckets: [...aliases, 'nope'] }))).toEqual([
      {
        path: `API_KEYS.1.buckets.${aliases.length}`,
        message: 'must be the alias of a bucket',
      },
    ])
  })

  it('have known scopes', () => {
    expect(paths(withKey({ scopes: ['files:read', 'canary:*'] }))).toEqual(['API_KEYS.1.scopes.1'])
  })

  it('have no other member, such as the key itself', () => {
    expect(paths(withKey({ key: 'ep_canary' }))).toEqual(['API_KEYS.1'])
  })

  it('must not repeat an id: the issue names the entries, and not the id, since /healthz is public', () => {
    expect(issuesOf(withKey({ id: 'admin' }))).toEqual([
      { path: 'API_KEYS', message: 'must not repeat an id (entries 0 and 1)' },
    ])
  })

  it('are digests: the issue names a key instead of a digest', () => {
    expect(issuesOf(withKey({ sha256: 'ep_team-a_canary' }))).toEqual([
      { path: 'API_KEYS.1.sha256', message: expect.stringContaining('not the key') },
    ])
  })

  it('get a list of the scopes in the issue about an unknown one', () => {
    expect(issuesOf(withKey({ scopes: ['canary:*'] }))).toEqual([
      { path: 'API_KEYS.1.scopes.0', message: expect.stringContaining('files:upload, files:read') },
    ])
  })

  it('must be a list, as a table or as JSON', () => {
    for (const value of [
      'canary',
      '[{"id": "canary"',
      '{"canary": 1}',
      { canary: 1 },
      'ep_admin_canary',
    ])
      expect(paths({ API_KEYS: value })).toEqual(['API_KEYS'])
  })
})

describe('the keys of an app', () => {
  const key = { id: 'ci', sha256: 'a'.repeat(64), scopes: ['files:read'], prefix: '' } as const
  const issuesWith = async (keys: unknown) => {
    const app = mount({ authenticate: undefined as never, apiKeys: { keys: keys as never } })
    return (await jsonOf(await app.fetch('/media/healthz'))).issues
  }

  it('have buckets that exist', async () => {
    const keys = [
      { ...key, buckets: ['files'] },
      { ...key, id: 'b', buckets: ['files', 'x'] },
    ]
    const issue = {
      path: 'apiKeys.keys.1.buckets.1',
      message: 'must be the alias of a bucket',
    }
    expect(await issuesWith(keys)).toEqual([issue])
    expect(await issuesWith(() => keys)).toEqual([issue])
    expect(await issuesWith(keys.slice(0, 1))).toBeUndefined()
  })

  it('are checked, and have no other option next to them', async () => {
    expect(await issuesWith([{ ...key, sha256: 'ep_ci_canary' }])).toEqual([
      { path: 'apiKeys.keys.0.sha256', message: expect.stringContaining('not the key') },
    ])
    expect(await issuesWith('canary')).toEqual([
      { path: 'apiKeys.keys', message: 'must be an array' },
    ])
    const app = mount({
      authenticate: undefined as never,
      apiKeys: { keys: [], canary: true } as never,
    })
    expect((await jsonOf(await app.fetch('/media/healthz'))).issues).toEqual([
      { path: 'apiKeys', message: 'has unknown members: canary. Known members: keys' },
    ])
  })
})
