import { expect, it } from 'vitest'
import { keyRunsScript, typeRunsScript } from '../../src/keys/script-types.ts'

it.each([
  'a.html',
  'a.htm',
  'a.SVG',
  'a.svgz',
  'a.xml',
  'a.xhtml',
  'a.xht',
  'a.mhtml',
  'a.xsl',
  'a.rss',
  'a.js',
  'a.mjs',
  'dir.png/a.b.html',
  '\u202elmth.svg',
])('treats the key %s as one that may run script', (key) => {
  expect(keyRunsScript(key)).toBe(true)
})

it.each([
  ['mail.eml', 'message/rfc822'],
  ['plan.vsdx', 'application/vnd.ms-visio.drawing.main+xml'],
  ['feeds.opml', 'text/x-opml+xml'],
  ['book.fb2', 'application/x-fictionbook+xml'],
  ['film.mpd', 'application/dash+xml'],
  ['subtitles.smi', 'application/smil+xml'],
  ['page.xhtm', 'application/xhtml+xml'],
])('expects %s to have the type that Chromium gives it, %s', (key, type) => {
  expect(typeRunsScript(type)).toBe(true)
  expect(keyRunsScript(key)).toBe(true)
})

it.each(['a.png', 'a.txt', 'a.pdf', 'a.json', 'a', 'html', 'a.html/b', 'a.htmlx', 'a.svg.png', ''])(
  'treats the key %j as harmless',
  (key) => {
    expect(keyRunsScript(key)).toBe(false)
  },
)

it.each([
  'text/html',
  'application/xhtml+xml',
  'image/svg+xml',
  'text/xml',
  'application/xml',
  'application/rss+xml',
  'model/x3d+xml',
  'multipart/related',
  'multipart/mixed',
  'multipart/x-mixed-replace',
  'message/rfc822',
])('treats %s as a type that runs script', (essence) => {
  expect(typeRunsScript(essence)).toBe(true)
})

it.each([
  'application/ecmascript',
  'application/javascript',
  'application/x-ecmascript',
  'application/x-javascript',
  'text/ecmascript',
  'text/javascript',
  'text/javascript1.0',
  'text/javascript1.1',
  'text/javascript1.2',
  'text/javascript1.3',
  'text/javascript1.4',
  'text/javascript1.5',
  'text/jscript',
  'text/livescript',
  'text/x-ecmascript',
  'text/x-javascript',
])('recognizes %s as a JavaScript type of the MIME Sniffing standard', (essence) => {
  expect(typeRunsScript(essence)).toBe(true)
})

it.each(['unknown/unknown', 'application/unknown', 'application/x-unknown-content-type'])(
  'treats %s, which a browser may render as a page, as a type that runs script',
  (essence) => {
    expect(typeRunsScript(essence)).toBe(true)
  },
)

it.each([
  'image/png',
  'text/plain',
  'application/pdf',
  'application/json',
  'application/octet-stream',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  'text/xml2',
  'text/javascript1.6',
  'text/javascript1x0',
  'x-multipart/related',
  'image/svg',
  'video/mp4',
])('treats %s as harmless', (essence) => {
  expect(typeRunsScript(essence)).toBe(false)
})
