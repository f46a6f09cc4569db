import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { takesOrigin } from '../../src/settings/settings.ts'
import { runs } from '../support/fuzz.ts'

const corsOrigins = ['https://app.example.com', 'https://*.app.pages.dev']
const takes = (origin: string) => takesOrigin({ corsOrigins }, origin)

/** A label as browsers write it: lower case, with punycode for everything else. */
const label = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/)

describe('a star in an origin', () => {
  it('matches any one label', () => {
    expect(takes('https://feature-1.app.pages.dev')).toBe(true)
    expect(takes('https://xn--mnchen-3ya.app.pages.dev')).toBe(true)
    fc.assert(fc.property(label, (name) => takes(`https://${name}.app.pages.dev`)))
  })

  it.each([
    'https://app.pages.dev',
    'https://.app.pages.dev',
    'https://a.b.app.pages.dev',
    'https://evil.app.pages.dev.evil.com',
    'https://evil.com/.app.pages.dev',
    'https://evil.com?.app.pages.dev',
    'https://evil.com#.app.pages.dev',
    'https://evil.com\\.app.pages.dev',
    'https://evilapp.pages.dev',
    'http://a.app.pages.dev',
    'https://a.app.pages.dev:8443',
    'https://a.app.pages.dev:443',
    'https://a.app.pages.dev.',
    'https://a.app.pages.dev/',
    'https://A.app.pages.dev',
    'https://a.APP.pages.dev',
    'HTTPS://a.app.pages.dev',
    'https://user@a.app.pages.dev',
    'https://user:a.app.pages.dev',
    'https://a@.app.pages.dev',
    'https://é.app.pages.dev',
    'https://a。app.pages.dev',
    'https://-a.app.pages.dev',
    'https://a-.app.pages.dev',
    'https://a\n.app.pages.dev',
    'https://a.app.pages.dev\n',
    'https://*.app.pages.dev',
    'https://%61.app.pages.dev',
    'https://[::1].app.pages.dev',
    ` https://a.app.pages.dev`,
    `https://${'a'.repeat(64)}.app.pages.dev`,
    'null',
    '*',
    '',
  ])('does not match %j', (origin) => {
    expect(takes(origin)).toBe(false)
  })

  // @threat cors-other-origin
  it('matches nothing that a browser would read as another host, or as more than one label', () => {
    const scrap = fc.constantFrom(
      ...['https://', 'http://', '.app.pages.dev', 'app', 'evil.com', 'a', '.', '-', '/', '\\'],
      ...[':', '@', '?', '#', '*', '%2e', 'é', '。', 'A', '\n', ' ', '443', '_', '\u0000'],
    )
    const text = fc.array(fc.oneof(scrap, fc.string({ maxLength: 3 })), { maxLength: 6 })
    const origins = fc.oneof(
      text.map((scraps) => scraps.join('')),
      text.map((scraps) => `https://${scraps.join('')}.app.pages.dev`),
      text.map((scraps) => `https://a.app.pages.dev${scraps.join('')}`),
    )
    let taken = 0
    fc.assert(
      fc.property(origins, (origin) => {
        if (!takes(origin)) return
        taken += 1
        const { protocol, hostname, port, username } = new URL(origin)
        expect(new URL(origin).origin).toBe(origin)
        expect([protocol, port, username]).toEqual(['https:', '', ''])
        expect(hostname.split('.').slice(1).join('.')).toBe('app.pages.dev')
      }),
      { numRuns: runs(5000) },
    )
    expect(taken).toBeGreaterThan(20)
  })
})

it('an exact origin matches only itself, and no part of it', () => {
  expect(takes('https://app.example.com')).toBe(true)
  for (const origin of ['https://app.example.co', 'https://app.example.com.evil.com', 'https://'])
    expect(takes(origin)).toBe(false)
})
