import { describe, expect, it } from 'vitest'
import { issuesOf, loads, paths } from './variables.ts'

const SECRET = 'canary-0123456789abcdef012345678'

// @threat secret-printed
describe('a secret that documentation prints', () => {
  const printed = 'replace-this-with-at-least-32-random-characters'

  it.each([
    ['SIGNING_SECRETS', `k1:${printed}`],
    ['SIGNING_SECRETS', `k1:${SECRET},k2:${printed}`],
    ['NOTIFICATION_SECRETS', printed],
    ['NOTIFICATION_SECRETS', `${SECRET},${printed}`],
    ['S3_ACCESS_KEY_ID', 'your-access-key-id'],
    ['S3_SECRET_ACCESS_KEY', 'your-secret-access-key'],
  ])('is refused in %s: %s', (name, value) => {
    expect(issuesOf({ [name]: value })).toEqual([
      {
        path: name,
        message: expect.stringMatching(/^still has a placeholder that documentation prints\. \w/),
      },
    ])
  })
})

describe('NOTIFICATION_SECRETS', () => {
  it.each([
    ['empty text', ' '],
    ['a secret of 31 characters', SECRET.slice(1)],
    ['a secret of 129 characters', 'x'.repeat(129)],
    ['a short secret after a valid one', `${SECRET},canary`],
    ['an empty entry', `${SECRET},`],
    ['three secrets', `${SECRET},${SECRET}x,${SECRET}y`],
    ['a character that a URL would need to encode', `${SECRET}:`],
    ['a space', `${SECRET} x`],
    ['a list', [SECRET]],
  ])('refuse %s', (_, value) => {
    expect(paths({ NOTIFICATION_SECRETS: value })).toEqual(['NOTIFICATION_SECRETS'])
  })

  it('are one or two, or none', () => {
    expect(loads({ NOTIFICATION_SECRETS: SECRET })).toBe(true)
    expect(loads({ NOTIFICATION_SECRETS: `${SECRET}, ${SECRET}x` })).toBe(true)
    expect(loads({ NOTIFICATION_SECRETS: undefined })).toBe(true)
  })

  it('are not silently ignored under a misspelt name', () => {
    const misspelt = { NOTIFICATION_SECRETS: undefined, NOTIFICATION_SECRET: SECRET }
    expect(issuesOf(misspelt)).toEqual([
      {
        path: 'NOTIFICATION_SECRETS',
        message: 'is missing. Rename NOTIFICATION_SECRET to NOTIFICATION_SECRETS.',
      },
    ])
  })
})

describe('SIGNING_SECRETS', () => {
  it.each([
    ['absent', undefined],
    ['empty', ''],
    ['a secret without a kid', SECRET],
    ['an empty kid', `:${SECRET}`],
    ['a kid with invalid characters', `k_1:${SECRET}`],
    ['a long kid', `${'k'.repeat(17)}:${SECRET}`],
    ['a secret of 31 characters', `k1:${SECRET.slice(1)}`],
    ['a short secret after a valid one', `k1:${SECRET},k2:canary`],
    ['an empty entry', `k1:${SECRET},`],
    ['a repeated kid', `k1:${SECRET}, k1:${SECRET}x`],
    ['a value that is not a string', { k1: SECRET }],
  ])('refuse %s', (_, value) => {
    expect(paths({ SIGNING_SECRETS: value })).toEqual(['SIGNING_SECRETS'])
  })

  it('have at least 32 characters', () => {
    expect(SECRET).toHaveLength(32)
    expect(loads({ SIGNING_SECRETS: `k1:${SECRET}` })).toBe(true)
  })
})

const NO_ORIGINS = [
  '*',
  'null',
  'canary.example.com',
  'https://canary.example.com/',
  'https://example.com/canary',
  'https://Canary.example.com',
  'https://example.com:443',
  'https://user:canary@example.com',
]

/** Stars that would match too many origins. */
const WIDE_ORIGINS = [
  'https://*',
  'https://*.canary',
  'http://*.canary.example.com',
  'https://canary.*.example.com',
  'https://*.*.canary.com',
  'https://**.canary.com',
  'https://a*.canary.com',
  'https://*a.canary.com',
  'https://*canary.com',
  'https://*.canary.com/',
  'https://*.canary.com/*',
  'https://*.Canary.com',
  'https://*.canary.com:443',
  'https://*.canary.com:*',
  'https://user@*.canary.com',
  'https://*.canary.com@evil.example',
  'https://*.0.0.1',
  'https://*..canary.com',
  'https://*.canary.',
]

/** Suffixes that many parties share. */
const SHARED_ORIGINS = [
  'https://*.pages.dev',
  'https://*.workers.dev',
  'https://*.github.io',
  'https://*.vercel.app',
  'https://*.netlify.app',
  'https://*.netlify.app:8443',
  'https://*.co.uk',
  'https://*.cloudfront.net',
]

describe('CORS_ORIGINS', () => {
  it.each([...NO_ORIGINS, ...WIDE_ORIGINS, ''])(
    'are exact origins, or have a star as their first label, not %j',
    (origin) => {
      expect(paths({ CORS_ORIGINS: ['https://a.example', origin] })).toEqual(['CORS_ORIGINS.1'])
    },
  )

  // @threat cors-shared-suffix
  it.each(SHARED_ORIGINS)('have no star before a suffix that anyone can use: %s', (origin) => {
    expect(issuesOf({ CORS_ORIGINS: [origin] })).toEqual([
      { path: 'CORS_ORIGINS.0', message: expect.stringContaining('before a public suffix') },
    ])
  })

  it.each([
    'https://*.app.pages.dev',
    'https://*.canary.com',
    'https://*.preview.canary.com:8443',
    'https://*.app.vercel.app',
  ])('accept %s', (origin) => {
    expect(loads({ CORS_ORIGINS: [origin] })).toBe(true)
  })

  it('must be a list, even for one origin', () => {
    expect(issuesOf({ CORS_ORIGINS: 'https://canary.example' })).toEqual([
      {
        path: 'CORS_ORIGINS',
        message: 'must be a list, or JSON text, such as ["https://app.example.com"]',
      },
    ])
  })
})

describe('CORS_COOKIE_ORIGINS', () => {
  it.each([...NO_ORIGINS, ''])('are exact origins, not %j', (origin) => {
    expect(paths({ CORS_COOKIE_ORIGINS: [origin] })).toEqual(['CORS_COOKIE_ORIGINS.0'])
  })
})

describe('LINK_ORIGIN', () => {
  it.each([...NO_ORIGINS, 'https://*.app.pages.dev'])('is one exact origin, not %j', (origin) => {
    expect(paths({ LINK_ORIGIN: origin })).toEqual(['LINK_ORIGIN'])
  })
})

describe('OPEN_ACCESS', () => {
  it.each(['true', 'Localhost', '*', 'canary', 'localhost '])('refuses %j', (value) => {
    expect(paths({ OPEN_ACCESS: value })).toEqual(['OPEN_ACCESS'])
  })
})
