import fc from 'fast-check'
import { expect, it } from 'vitest'
import { purpose } from '../../../src/access/purpose-key.ts'
import { seal } from '../../../src/access/seal.ts'
import { objectKeyError, parseObjectKey } from '../../../src/keys/object-key.ts'
import { signFolder, verifyInFolder } from '../../../src/plugins/links/folder.ts'
import { runs } from '../../support/fuzz.ts'
import { hostileText, maybeKey } from '../../support/hostile.ts'
import { signingSettings } from '../../support/signing-settings.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const ORIGIN = 'https://links.example'
const EXPIRES = 1_795_522_500
const config = signingSettings()
const PREFIX = parseObjectKey('team-a/é (1)/')
const FOLDER = { bucket: 'files', prefix: PREFIX, expires: EXPIRES }
const base = ORIGIN + (await signFolder(FOLDER, config))

/** Returns the verdict on a URL, whose path the Worker's router has split and decoded. */
function verify(url: string, now = NOW, settings = config) {
  const { pathname } = new URL(url)
  const [, token = '', key = ''] = /^\/f\/([^/]+)\/(.+)$/.exec(pathname) ?? []
  return verifyInFolder(pathname, decoded(token), decoded(key), settings, now)
}

/** Decodes as Hono does: what is malformed stays as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text.replace(/(?:%[0-9A-F]{2})+/gi, (escapes) => {
      try {
        return decodeURIComponent(escapes)
      } catch {
        return escapes
      }
    })
  }
}

const allows = (key: string) => ({
  ok: true,
  policy: { ...{ bucket: 'files', key, expires: EXPIRES }, ...SHOWN },
})
const SHOWN = { delivery: 'stream', download: null, variant: null }

/** Names of files, also in folders, that a folder link can show. */
const names = hostileText.filter(
  (name) => !/\\|^\/|\/\/|\/$/.test(name) && objectKeyError(PREFIX + name) === null,
)

it('reads every key below the folder by encodeURIComponent, segment by segment', async () => {
  await fc.assert(
    fc.asyncProperty(names, async (name) => {
      const url = base + name.split('/').map(encodeURIComponent).join('/')
      expect(await verify(url)).toEqual(allows(PREFIX + name))
    }),
    { numRuns: runs(1000) },
  )
})

it('reads a key by its name as a relative address, as playlists write it', async () => {
  // These are part of the syntax of a URL. A parser also removes spaces and control characters at both ends.
  const relative = names.filter(
    (name) => !/[%?#]/.test(name) && !/^[a-z][a-z0-9+.-]*:/i.test(name) && name === name.trim(),
  )
  await fc.assert(
    fc.asyncProperty(relative, async (name) => {
      expect(await verify(new URL(name, base).href)).toEqual(allows(PREFIX + name))
    }),
    { numRuns: runs(1000) },
  )
  const playlist = new URL('720p/index.m3u8', base)
  const key = `${PREFIX}audio/a+b=c@1,2&$!'()*;:[]^|.m4s`
  const href = new URL("../audio/a+b=c@1,2&$!'()*;:[]^|.m4s", playlist).href
  expect(await verify(href)).toEqual(allows(key))
})

// @threat folder-escaped
it('never allows a key that does not start with the prefix, whatever the address', async () => {
  let alive = 0
  const address = fc.oneof(hostileText, maybeKey, fc.constantFrom('a.ts', 'b/c.ts', '%2e%2e/a'))
  await fc.assert(
    fc.asyncProperty(address, fc.boolean(), async (text, isRelative) => {
      const url = isRelative ? URL.parse(text, base)?.href : base + text
      if (url === undefined || !URL.canParse(url)) return
      const verdict = await verify(url)
      if (!verdict.ok) return
      alive += 1
      const { key, bucket } = verdict.policy
      expect([key.startsWith(PREFIX), key.length > PREFIX.length, bucket]).toEqual([
        ...[true, true],
        'files',
      ])
      expect(`/${key}/`).not.toMatch(/\/\.{0,2}\/|\\/)
    }),
    { numRuns: runs(5000) },
  )
  expect(alive).toBeGreaterThan(100)
})

/** Characters that URL parsers and encoders treat differently. */
const EITHER = "!$&'()*+,;=:@[]^|"

/** Returns `text` as escapes of its bytes, in upper case. */
const escaped = (text: string): string =>
  [...new TextEncoder().encode(text)]
    .map((byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`)
    .join('')

// @threat link-two-spellings
it('refuses a key with any one character in another spelling', async () => {
  const seen = { true: 0, false: 0 }
  await fc.assert(
    fc.asyncProperty(names, fc.nat(), fc.boolean(), async (name, place, isUpper) => {
      const characters = [...name]
      const at = place % characters.length
      const chosen = characters[at] ?? ''
      const escapes = isUpper ? escaped(chosen) : escaped(chosen).toLowerCase()
      const url = `${base}${characters
        .map((one, i) => (i === at ? escapes : one === '/' ? one : encodeURIComponent(one)))
        .join('')}`
      fc.pre(new URL(url).href === url) // a parser removes segments of encoded dots
      const isUsual =
        escapes === encodeURIComponent(chosen) ||
        (EITHER.includes(chosen) && escapes === escaped(chosen))
      const isValid = isUsual && chosen !== '/'
      seen[`${isValid}`] += 1
      expect((await verify(url)).ok, url).toBe(isValid)
    }),
    { numRuns: runs(2000) },
  )
  expect(Math.min(seen.true, seen.false)).toBeGreaterThan(200)
})

// @threat folder-escaped link-two-spellings
it.each([
  ['the folder itself', ''],
  ['a folder in it', 'sub/'],
  ['two dots', '../b.ts'],
  ['encoded dots', '%2e%2e/b.ts'],
  ['dots after an encoded slash', '..%2Fb.ts'],
  ['encoded dots and slash', '%2E%2E%2Fb.ts'],
  ['dots encoded twice', '%252e%252e/../../b.ts'],
  ['a backslash', '..\\b.ts'],
  ['an encoded backslash', '..%5Cb.ts'],
  ['an encoded backslash in a name', 'a%5Cb.ts'],
  ['an encoded slash', 'sub%2Fb.ts'],
  ['an encoded slash in lower case', 'sub%2fb.ts'],
  ['two slashes', 'sub//b.ts'],
  ['a slash at the start', '/b.ts'],
  ['an encoded letter', '%61.ts'],
  ['an encoded dot', 'a%2Ets'],
  ['an encoded hyphen', 'a%2Db.ts'],
  ['an encoded tilde', '%7Ea.ts'],
  ['lower-case hexadecimal', '%c3%a9.ts'],
  ['malformed encoding', '%zz.ts'],
  ['half a character', '%C3.ts'],
  ['an overlong slash', '%C0%AF.ts'],
  ['a line break', 'a%0Ab.ts'],
  ['a null', 'a%00.ts'],
])('refuses %s', async (_, rest) => {
  expect((await verify(base + rest)).ok).toBe(false)
})

// @threat folder-forged
it('refuses a changed token, at any character', async () => {
  const start = `${ORIGIN}/f/`.length
  const end = base.indexOf('/', start)
  for (let at = start; at < end; at++)
    for (const other of ['A', 'B', '.', '%', '/', '-'].filter((one) => one !== base[at])) {
      const url = `${base.slice(0, at) + other + base.slice(at + 1)}a.ts`
      expect((await verify(url)).ok, url).toBe(false)
    }
})

// @threat folder-forged folder-escaped
it('refuses the token of another folder, bucket or expiry in its place', async () => {
  const tokenOf = (path: string) => path.split('/').at(2) ?? ''
  const own = tokenOf(new URL(base).pathname)
  for (const changes of [
    { prefix: parseObjectKey('team-a/') },
    { prefix: parseObjectKey('team-a/é (1)/b/') },
    { prefix: parseObjectKey('team-b/') },
  ]) {
    const path = await signFolder({ ...FOLDER, ...changes }, config)
    const isWider = changes.prefix === 'team-a/'
    const inOwn = base.replace(own, tokenOf(path))
    expect((await verify(`${inOwn}a.ts`)).ok).toBe(isWider)
    expect((await verify(`${ORIGIN}${path.replace(tokenOf(path), own)}a.ts`)).ok).toBe(
      changes.prefix.startsWith(PREFIX),
    )
  }
  const other = await signFolder({ ...FOLDER, bucket: 'other' }, config)
  expect(await verify(`${ORIGIN}${other}a.ts`)).toMatchObject({ policy: { bucket: 'other' } })
  expect(tokenOf(other)).not.toBe(own)
  // Exactly the folder, and not another that starts with its name.
  const short = await signFolder({ ...FOLDER, prefix: parseObjectKey('team-a/') }, config)
  expect(await verify(`${ORIGIN}${short.replace('team-a/', 'team-ab/')}a.ts`)).toEqual({
    ok: false,
    refusal: 'link outside its folder',
  })
})

// @threat link-outlived
it('expires at the exact second', async () => {
  const at = (milliseconds: number) => verify(`${base}a.ts`, new Date(milliseconds))
  expect((await at(EXPIRES * 1000 - 1)).ok).toBe(true)
  expect(await at(EXPIRES * 1000)).toEqual({ ok: false, refusal: 'link expired' })
})

// @threat folder-forged
it('refuses a token of another secret or instance, or with an unknown member', async () => {
  const under = (settings: typeof config) => verify(`${base}a.ts`, NOW, settings)
  const other = '0123456789abcdef0123456789abcdeX'
  expect(await under(signingSettings(`k1:${other}`))).toMatchObject({
    refusal: 'link signature wrong',
  })
  expect(await under(signingSettings(`k2:${other}`))).toMatchObject({ refusal: 'link kid unknown' })
  expect((await under(signingSettings(undefined, 'other'))).ok).toBe(false)
  const claims = { bucket: 'files', prefix: 'a/', exp: EXPIRES }
  const verdictOn = async (made: object, name = 'folder') => {
    const token = await seal(config.signingSecrets, purpose(name), { ...made })
    return verify(`${ORIGIN}/f/${token}/a/b.ts`)
  }
  expect((await verdictOn(claims)).ok).toBe(true)
  expect((await verdictOn(claims, 'token')).ok).toBe(false)
  expect((await verdictOn(claims, 'link')).ok).toBe(false)
  // An older version of the Worker must not ignore a newer condition.
  expect(await verdictOn({ ...claims, someCondition: 1 })).toEqual({
    ok: false,
    refusal: 'link malformed',
  })
  expect((await verdictOn({ bucket: 'files', prefix: 'a/' })).ok).toBe(false)
})
