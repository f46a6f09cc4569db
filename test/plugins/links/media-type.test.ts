import { describe, expect, it } from 'vitest'
import { parseMediaType } from '../../../src/plugins/links/media-type.ts'

describe('a stored Content-Type', () => {
  it.each([
    ['image/png', 'image/png'],
    [' image/png\t', 'image/png'],
    ['Text/PLAIN; charset=UTF-8', 'text/plain; charset=UTF-8'],
    [
      'text/plain;charset="utf-8"\t;  format=flowed',
      'text/plain;charset="utf-8"\t;  format=flowed',
    ],
    ['audio/ogg; codecs=""', 'audio/ogg; codecs=""'],
    ['image/png;', 'image/png;'],
    ['image/png; ; a=b', 'image/png; ; a=b'],
  ])('is passed on when it is one media type: %j as %j', (value, contentType) => {
    expect(parseMediaType(value)).toMatchObject({ contentType, isInert: true })
  })

  it.each([
    ['video/mp4; codecs="avc1.42E01E, mp4a.40.2"', 'video/mp4'],
    ['video/mp4; codecs="a, b"; x=1', 'video/mp4; x=1'],
    ['video/mp4; a=";b="; x="1,2";y=2', 'video/mp4; a=";b=";y=2'],
  ])('loses a parameter with a comma inside quotes: %j is sent as %j', (value, contentType) => {
    expect(parseMediaType(value)).toMatchObject({ contentType, isInert: true })
  })

  // @threat link-runs-script
  it.each([
    '',
    'image',
    'image/',
    '/png',
    'image/png/x',
    'image /png',
    'image/png x',
    'image/png, text/html',
    'text/html,',
    ',text/html',
    'image/png;a="b", text/html',
    'text/html foo',
    'x,text/html',
    '*/*,text/html',
    'image/png;,text/html',
    'image/png;a=b,text/html',
    'image/png;a="b',
    'image/png;a=b"',
    'image/png;a="b"c',
    'image/png;a="\\", text/html;"',
    'image/png;a="\\"',
    'image/png;a="b\\c"',
    'image/png;a="\\";b=", text/html"',
    'image/png;a',
    'image/png;a=',
    'image/png;=b',
    'image/png; a = b',
    'image/png;a="\u00e9"',
    'image/p\u00f1g',
    'image/png\u0000',
    'image/png\r\n;a=b',
  ])('is ignored unless it is one valid media type: %j', (value) => {
    expect(parseMediaType(value)).toBeNull()
  })

  it.each([
    ['spaces', `image/png${' '.repeat(50_000)}x`],
    ['semicolons', `image/png${'  ;  '.repeat(5000)},`],
    ['a gap', `image/png;${' '.repeat(50_000)},`],
    ['quotes', `image/png${';a=" ; ; "'.repeat(5000)},`],
  ])('is read in linear time, however hostile: %s', (_, value) => {
    expect(parseMediaType(value)).toBeNull()
  })
})

describe('the types that a browser shows inline', () => {
  const isInert = (value: string) => parseMediaType(value)?.isInert

  it.each([
    'image/png',
    'IMAGE/JPEG',
    'image/gif',
    'image/webp',
    'image/avif',
    'image/vnd.microsoft.icon',
    'audio/mpeg',
    'video/mp4',
    'font/woff2',
    'text/plain; charset=utf-8',
    'application/pdf',
  ])('include the inert %s', (value) => {
    expect(isInert(value)).toBe(true)
  })

  it.each([
    'text/html',
    'text/html; image/png=1',
    'image/svg+xml',
    'image/xml',
    'video/x+xml',
    'text/xml',
    'text/css',
    'text/javascript',
    'application/json',
    'application/octet-stream',
    'application/xhtml+xml',
    'multipart/x-mixed-replace',
    'unknown/unknown',
    '*/*',
    'image/*',
    'constructor/__proto__',
  ])('do not include %s', (value) => {
    expect(isInert(value)).not.toBe(true)
  })
})

describe('the types that a browser shows on the origin of an app', () => {
  const isMedia = (value: string) => parseMediaType(value)?.isMedia

  it.each(['image/png', 'Image/GIF; a=b', 'audio/mpeg', 'video/mp4'])('include %s', (value) => {
    expect(isMedia(value)).toBe(true)
  })

  it.each([
    'text/plain',
    'application/pdf',
    'font/woff2',
    'image/svg+xml',
    'video/x+xml',
    'text/html',
    'image/*',
  ])('do not include %s', (value) => {
    expect(isMedia(value)).toBe(false)
  })
})
