import { describe, expect, inject, it } from 'vitest'
import { type Answer, judge } from './judge.ts'
import { readRoutes } from './routes.ts'
import { type Attacker, CANARY, createWorld, ORIGIN } from './world.ts'

const routes = new Map(readRoutes().map((route) => [route.name, route]))

const attacker: Attacker = {
  ...{ kind: 'token', headers: {}, scopes: ['files:read'], prefix: 'mallory/', isLimited: true },
  ...{ sees: ['bob/shared.txt'], knows: {} },
}
const BUCKET = `${inject('s3Endpoint')}/files`

/** Judges an answer of `GET /files/:key/url`. */
const found = (answer: Partial<Answer>, by: Partial<Attacker> = {}, method = 'GET') =>
  judge(
    { attacker: { ...attacker, ...by }, init: { method }, url: `${ORIGIN}/files/a/url` },
    { status: 200, location: null, text: '', route: '/files/:key/url', code: undefined, ...answer },
    routes,
  )

describe('the judge of answers', () => {
  it.each<[string, Partial<Answer>]>([
    ['its own key', { text: `{"url":"${BUCKET}/mallory/a.txt?X-Amz-Signature=x"}` }],
    ['a link to its own key', { text: `{"link":"${ORIGIN}/i/files/mallory/a.txt?sig=x"}` }],
    [
      'what was shared with it',
      { location: `${ORIGIN}/i/files/bob/shared.txt?sig=x`, text: `${CANARY}5` },
    ],
    ['a documented code', { status: 403, code: 'forbidden' }],
    ['another server', { text: 'https://example.com/files/bob/secret.txt' }],
  ])('accepts %s', (_, answer) => {
    expect(found(answer)).toBeNull()
  })

  it.each<[string, Partial<Answer>, string]>([
    ['an internal error', { status: 500, code: 'internal' }, 'status 500'],
    ['an answer that is not ours', { status: 502 }, 'status 502'],
    [
      'a code that the document lacks',
      { status: 410, code: 'grant_ended' },
      'undocumented code grant_ended',
    ],
    ['a status that the document lacks', { status: 204 }, 'undocumented status 204'],
    [
      'a code without a route',
      { status: 410, code: 'grant_ended', route: undefined },
      'undocumented code grant_ended',
    ],
    [
      'a signed URL of others',
      { text: `{"url":"${BUCKET}/bob/secret.txt?X-Amz-Signature=x"}` },
      'has the URL',
    ],
    [
      'a signed URL that leaves its prefix',
      { text: `${BUCKET}/mallory/%2e%2e%2fbob/x` },
      'has the URL',
    ],
    [
      'a signed URL of a key that starts like its prefix',
      { text: `${BUCKET}/mallory2/a.txt` },
      'has the URL',
    ],
    ['a link of others', { location: `${ORIGIN}/i/files/bob/secret.txt?sig=x` }, 'has the URL'],
    [
      'a bucket that it may not use',
      { text: `${BUCKET.replace('127.0.0.1', 'localhost')}/mallory/a.txt` },
      'has the URL',
    ],
    ['the name of a file of others', { text: `{"name":"${CANARY}4"}` }, 'shows bob/secret.txt'],
  ])('reports %s', (_, answer, problem) => {
    expect(found(answer)).toContain(problem)
  })

  it('reports what is done without a scope, or by somebody without credentials', () => {
    expect(found({}, { scopes: ['files:list'] })).toBe('done without the scope')
    expect(found({}, { scopes: [], prefix: null })).toBe('done without the scope')
  })
})

it('notices a change of what belongs to others, in the bucket and in the index', async () => {
  const world = await createWorld()
  let before = await world.outside()
  await world.refill()
  expect(await world.outside()).toBe(before)
  expect(before).toContain('bob/secret.txt')
  for (const change of world.breaks) {
    await change()
    const after = await world.outside()
    expect(after).not.toBe(before)
    before = after
  }
})
