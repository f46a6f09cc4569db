import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { childrenOf, escapeXml, readXml, textOf } from '../../src/storage/xml.ts'
import { runs } from '../support/fuzz.ts'
import { hostileText } from '../support/hostile.ts'

/** Characters that no XML 1.0 document may hold, escaped or not (§2.2). */
const NOT_XML = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u

describe('escapeXml', () => {
  it('leaves no character that ends text or a quoted value', () => {
    expect(escapeXml(`a&b<c>d"e'f`)).toBe('a&amp;b&lt;c&gt;d&quot;e&apos;f')
    expect(escapeXml('&amp;')).toBe('&amp;amp;')
    expect(escapeXml(']]>')).toBe(']]&gt;')
    expect(escapeXml('')).toBe('')
  })

  it('round-trips any text that XML can contain, between tags and in both kinds of quotes', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        fc.pre(!NOT_XML.test(text) && !text.includes('\r'))
        const safe = escapeXml(text)
        expect(safe).not.toMatch(/[<>"']/)
        const root = readXml(`<R a="${safe}" b='${safe}'><T>${safe}</T></R>`)
        expect(root && textOf(root, 'T')).toBe(text)
        // Every parser normalizes white space in an attribute (§3.3.3).
        const normalized = text.replace(/[\t\n]/g, ' ')
        expect(root?.attributes).toEqual({ a: normalized, b: normalized })
      }),
      { numRuns: runs(500) },
    )
  })
})

describe('readXml', () => {
  it('reads the root, whatever its name', () => {
    expect(readXml('<Error><Code>NoSuchUpload</Code></Error>')).toMatchObject({ name: 'Error' })
    expect(readXml('<?xml version="1.0" encoding="UTF-8"?>\n<R xmlns="x"/>')).toMatchObject({
      name: 'R',
    })
  })

  it('reads a response that starts with white space, which S3 sends while it works', () => {
    const document = '<?xml version="1.0" encoding="UTF-8"?><R><T>1</T></R>'
    for (const before of [' ', '\n\n\n', '\r\n \t', ' '.repeat(100_000), '\ufeff']) {
      const root = readXml(`${before}${document}\n`)
      expect(root && textOf(root, 'T')).toBe('1')
    }
  })

  it.each([
    ['nothing', ''],
    ['white space', ' \n '],
    ['text', 'Service Unavailable'],
    ['JSON', '{"Code":"NoSuchUpload"}'],
    ['an HTML page', '<!doctype html><html><body><p>Bad gateway<br></body></html>'],
    ['a truncated document', '<Error><Code>NoSuchUp'],
    ['two roots', '<R/><R/>'],
    ['tags that do not match', '<R><T></R></T>'],
    ['an unescaped ampersand', '<R>a & b</R>'],
    ['an unknown entity', '<R>&nbsp;</R>'],
    ['a control character', '<R>\u0000</R>'],
  ])('returns nothing for %s', (_, text) => {
    expect(readXml(text)).toBeNull()
  })

  it('returns nothing for any other text, and never throws', () => {
    fc.assert(
      fc.property(fc.oneof(hostileText, fc.string({ unit: 'binary' })), (text) => {
        fc.pre(!text.includes('<'))
        expect(readXml(text)).toBeNull()
      }),
    )
    fc.assert(fc.property(hostileText, (text) => void readXml(`<R>${text}</R>`)))
  })
})

it('survives elements nested 100,000 deep', () => {
  const deep = '<R>'.repeat(100_000) + '</R>'.repeat(100_000)
  expect(() => readXml(deep)).not.toThrow()
})

describe('a document type', () => {
  const ten = (name: string) => `&${name};`.repeat(10)

  // @threat xml-hostile
  it('defines no entities, so none expand', () => {
    const laughs = `<!DOCTYPE R [<!ENTITY a "ha"><!ENTITY b "${ten('a')}"><!ENTITY c "${ten('b')}">]>`
    expect(readXml(`${laughs}<R>&c;</R>`)).toBeNull()
    expect(readXml(`<!DOCTYPE R [<!ENTITY a "&a;">]><R>&a;</R>`)).toBeNull()
  })

  it('opens no files and no URLs', () => {
    for (const source of ['file:///etc/passwd', 'http://127.0.0.1:1/x']) {
      expect(readXml(`<!DOCTYPE R [<!ENTITY x SYSTEM "${source}">]><R>&x;</R>`)).toBeNull()
      const root = readXml(`<!DOCTYPE R SYSTEM "${source}"><R><T>1</T></R>`)
      expect(root && textOf(root, 'T')).toBe('1')
    }
  })

  it('with a huge number of entities defines none of them', () => {
    const entities = Array.from({ length: 20_000 }, (_, i) => `<!ENTITY e${i} "${i}">`).join('')
    expect(readXml(`<!DOCTYPE R [${entities}]><R>&e1;</R>`)).toBeNull()
  })
})

describe('an element', () => {
  const root = readXml(
    '<R><T>first</T><T>second</T><U><T>deeper</T></U><V/><W>a<![CDATA[<&>]]>b<!-- c -->d</W></R>',
  )
  if (root === null) throw new Error('This is XML.')

  it('returns the text of its first child with a name', () => {
    expect(textOf(root, 'T')).toBe('first')
    expect(textOf(root, 'V')).toBe('')
    expect(textOf(root, 'W')).toBe('a<&>bd')
    expect(textOf(root, 'X')).toBeNull()
    expect(textOf(root, 't')).toBeNull()
  })

  it('returns its direct children with a name, not their descendants', () => {
    expect(childrenOf(root, 'T').map(({ text }) => text)).toEqual(['first', 'second'])
    expect(childrenOf(root, 'X')).toEqual([])
  })
})
