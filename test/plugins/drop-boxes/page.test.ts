import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PAGE_SCRIPT, PAGE_SCRIPT_NAME } from '../../../drop-box/dist/page-script.js'
import { askToken, createBox, type DropBox, visit } from '../../support/drop-boxes.ts'
import { runs } from '../../support/fuzz.ts'
import { hostileText } from '../../support/hostile.ts'
import { mount } from '../../support/mount.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

const worker = testWorker()

interface Parsed {
  /** The elements, with the names of their attributes. */
  readonly elements: string[]
  readonly text: string
  readonly data: string | null
  readonly script: string | null
}

/** Parses a page as a browser does. */
async function parse(response: Response): Promise<Parsed> {
  const elements: string[] = []
  let text = ''
  let data: string | null = null
  let script: string | null = null
  await new HTMLRewriter()
    .on('*', {
      element(element) {
        const { tagName, attributes } = element
        elements.push([tagName, ...[...attributes].map(([name]) => name)].join(' '))
        data ??= element.getAttribute('data-box')
        if (tagName === 'script') script = element.getAttribute('src')
      },
    })
    .on('h1, .small, .text', {
      text(chunk) {
        text += chunk.text
      },
    })
    .transform(response)
    .text()
  return { elements, text: unescaped(text), data: data === null ? null : unescaped(data), script }
}

const NAMES: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  '#39': "'",
}
const unescaped = (text: string): string =>
  text.replace(/&(lt|gt|amp|quot|#39);/g, (_, name: string) => NAMES[name] ?? '')

/** Text that would be markup if it were not escaped. */
const MARKUP = [
  ...[
    '<img src=x onerror=alert(1)>',
    '"><b>',
    "' onclick='a",
    '<!--',
    '</h1><a href="javascript:1">',
  ],
  ...['</title><script>1</script>', '</style><style>', '</noscript><form>', '&lt;b&gt;', '\u202E'],
]
const markup = fc
  .array(fc.oneof(fc.constantFrom(...MARKUP), hostileText), { maxLength: 4 })
  .map((pieces) => pieces.join(''))

const pageOf = ({ url }: Pick<DropBox, 'url'>): Promise<Response> =>
  worker.fetch(url, { headers: { Accept: 'text/html' } })

describe('the page of a drop box', () => {
  it('runs only its script, and sends only to its own origin and the bucket', async () => {
    const response = await pageOf(await createBox())
    expect(response.status).toBe(200)
    const policy = response.headers.get('Content-Security-Policy') ?? ''
    const [, nonce = ''] = /style-src 'nonce-([\w-]{22})'/.exec(policy) ?? []
    const [, bucket = ''] = /connect-src 'self' (http:\/\/127\.0\.0\.1:\d+);/.exec(policy) ?? []
    expect(policy).toBe(
      `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self' ${bucket}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    )
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    const html = await response.text()
    expect(html.match(/<(?:script|style)\b[^>]*>/g)).toEqual([
      `<style nonce="${nonce}">`,
      `<script type="module" nonce="${nonce}" src="${PAGE_SCRIPT_NAME}">`,
    ])
    expect(html).not.toMatch(/ (?:on\w+|style)=/)
  })

  it('shows whatever its creator wrote as text', async () => {
    const usual = await parse(await pageOf(await createBox({ message: 'Hello' })))
    expect(usual.elements).toContain('h1')
    const words = fc.tuple(markup, markup, markup)
    await fc.assert(
      fc.asyncProperty(words, async ([one, two, three]) => {
        const [from, title] = [one, two].map(
          (word) => `x${word.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '')}`,
        )
        const message = three.replace(/[^\P{Cc}\n\r\t]/gu, '')
        const box = await createBox({
          ...{
            from: from?.slice(0, 100).toWellFormed(),
            title: title?.slice(0, 200).toWellFormed(),
          },
          message: `m${message.slice(0, 1000).toWellFormed()}`,
        })
        const { elements, text, data } = await parse(await pageOf(box))
        expect(elements).toEqual(usual.elements)
        const shown = (word: string) => word.replace(/\p{Bidi_Control}/gu, ' ')
        expect(text).toContain(shown(box.title))
        expect(text).toContain(`${shown(box.from)} asks you for files`)
        expect(text).not.toMatch(/\p{Bidi_Control}/u)
        expect(JSON.parse(data ?? '').from).toBe(shown(box.from))
      }),
      { numRuns: runs(30) },
    )
  })

  it('sends to the host of a bucket that has its own', async () => {
    const files = { ...s3rverBucket(), endpoint: 'https://s3.example.com', addressing: 'virtual' }
    const own = testWorker({ BUCKETS: { files } })
    const response = await own.fetch((await createBox({}, own)).url)
    expect(response.headers.get('Content-Security-Policy')).toContain(
      "connect-src 'self' https://files.s3.example.com;",
    )
  })

  it('works below the path of an app that mounts it', async () => {
    const app = mount({ path: '/media' })
    const { url } = await createBox({}, app, {}, '/media')
    expect(new URL(url).pathname).toMatch(/^\/media\/d\/[\w-]{22}$/)
    const { script } = await parse(await app.fetch(url, { headers: { Accept: 'text/html' } }))
    const served = await app.fetch(new URL(script ?? '', url).href)
    expect(await served.text()).toBe(PAGE_SCRIPT)
    const asked = await askToken({ url }, {}, app)
    expect(await asked.json()).toMatchObject({ endpoint: new URL('/media', url).href })
  })

  it('keeps the lines of the message', async () => {
    const { text } = await parse(await pageOf(await createBox({ message: 'one\r\ntwo\n\nthree' })))
    expect(text).toContain('one\ntwo\n\nthree')
  })

  it('is full when everything has arrived, not when it is reserved', async () => {
    const box = await createBox({ maxFiles: 1 })
    const sender = await visit(box)
    const key = await sender.put()
    expect((await parse(await pageOf(box))).script).toBe(PAGE_SCRIPT_NAME)
    await sender.record(key)
    const full = await pageOf(box)
    expect(full.headers.get('Content-Security-Policy')).not.toContain('script-src')
    expect(await full.text()).toContain('has received all the files')
  })
})

describe('the script of the page', () => {
  it('is next to the page, and stays the same', async () => {
    const { url } = await createBox()
    const response = await worker.fetch(new URL(PAGE_SCRIPT_NAME, url).href)
    expect(await response.text()).toBe(PAGE_SCRIPT)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
    })
  })

  it('is also on the host of links', async () => {
    const own = testWorker({ LINK_ORIGIN: 'https://img.example' })
    const response = await own.fetch(`https://img.example/d/${PAGE_SCRIPT_NAME}`)
    expect(response.status).toBe(200)
  })
})
