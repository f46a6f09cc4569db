import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readForm } from '../../../src/plugins/uppy/form-body.ts'
import { runs } from '../../support/fuzz.ts'

const encode = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** A request whose body arrives in chunks of `sizes` bytes, repeatedly. */
function requestOf(
  body: Uint8Array,
  { boundary = 'b', sizes = [7], length = body.length as number | null, headers = {} } = {},
): Request {
  let at = 0
  let turn = 0
  const stream = new ReadableStream({
    type: 'bytes',
    pull(controller) {
      const size = sizes[turn++ % sizes.length] ?? 1
      if (at < body.length) controller.enqueue(body.slice(at, at + size))
      else controller.close()
      at += size
    },
  })
  const all = new Headers({
    'Content-Type': `multipart/form-data; boundary=${boundary}`,
    ...(length === null ? {} : { 'Content-Length': String(length) }),
    ...headers,
  })
  return { body: stream, headers: all } as unknown as Request
}

const FILE = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
const field = (name: string, value: string) =>
  `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`

async function read(request: Request) {
  const { fields, file } = await readForm(request)
  const bytes = new Uint8Array(await new Response(file.bytes).arrayBuffer())
  return { fields: Object.fromEntries(fields), size: file.size, bytes }
}

describe('a form', () => {
  it('is read as FormData writes it, whatever the file contains and however it arrives', async () => {
    const names = fc.constantFrom('key', 'Policy', 'content-type', 'x-amz-meta-a')
    // Bytes of a delimiter are frequent.
    const bytes = fc.array(fc.oneof(fc.constantFrom(13, 10, 45, 98), fc.nat(255)), {
      maxLength: 300,
    })
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(names, fc.string({ unit: 'grapheme' }), { noNullPrototype: true }),
        bytes,
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 }),
        async (values, content, sizes) => {
          const form = new FormData()
          for (const [name, value] of Object.entries(values)) form.set(name, value)
          form.set('file', new Blob([Uint8Array.from(content)]), 'a.bin')
          const sent = new Response(form)
          const type = sent.headers.get('Content-Type') ?? ''
          const body = new Uint8Array(await sent.arrayBuffer())
          // Browsers end a form with a line break. This runtime may not.
          const ended = decode(body.slice(-2)) === '\r\n' ? body : joined(body, encode('\r\n'))
          const request = requestOf(ended, { sizes, headers: { 'Content-Type': type } })
          const got = await read(request)
          expect([...got.bytes]).toEqual(content)
          expect(got.size).toBe(content.length)
          // A form has CR LF line breaks.
          const lines = (text: string) => text.replace(/\r\n|\r|\n/g, '\r\n')
          expect(got.fields).toEqual(
            Object.fromEntries(
              Object.entries(values).map(([name, value]) => [name.toLowerCase(), lines(value)]),
            ),
          )
        },
      ),
      { numRuns: runs(200) },
    )
  })

  it('may have an empty file', async () => {
    const { size, bytes } = await read(requestOf(encode(`${field('a', '1')}${FILE}\r\n--b--\r\n`)))
    expect([size, bytes.length]).toEqual([0, 0])
  })

  it('may quote its boundary', async () => {
    const headers = { 'Content-Type': 'multipart/form-data; charset=utf-8; boundary="b"' }
    expect(
      decode((await read(requestOf(encode(`${FILE}x\r\n--b--\r\n`), { headers }))).bytes),
    ).toBe('x')
  })

  // @threat form-interrupted
  it('releases the last byte of its file only after a complete end', async () => {
    const body = encode(`${FILE}0123456789\r\n--b--\r\n`)
    const { file } = await readForm(requestOf(body.slice(0, -1), { length: body.length }))
    const reader = file.bytes.getReader()
    let text = ''
    await expect(
      (async () => {
        for (;;) {
          const { done, value } = await reader.read()
          if (done) return
          text += decode(value)
        }
      })(),
    ).rejects.toMatchObject({ code: 'invalid_request' })
    expect('0123456789'.startsWith(text) && text.length < 10).toBe(true)
  })
})

describe('a form is refused', () => {
  const whole = `${field('a', '1')}${FILE}text\r\n--b--\r\n`

  it.each<[string, string]>([
    ['without a file', `${field('a', '1')}--b--\r\n`],
    ['without content', '--b--\r\n'],
    ['with a repeated field', `${field('a', '1')}${field('A', '2')}${FILE}text\r\n--b--\r\n`],
    ['with a part without a name', `--b\r\n\r\nx\r\n${FILE}text\r\n--b--\r\n`],
    ['with a field after the file', `${FILE}text\r\n${field('a', '1')}--b--\r\n`],
    ['with a second file after the file', `${FILE}text\r\n${FILE}more\r\n--b--\r\n`],
    ['with content before it', ` ${whole}`],
    ['with content after it', `${whole}x`],
    ['that is truncated in its fields', field('a', '1').slice(0, -4)],
    ['that is truncated in its file', `${FILE}tex`],
    ['that is truncated in its end', whole.slice(0, -3)],
    ['with a different boundary', whole.replaceAll('--b', '--c')],
    ['with endless fields', field('a', 'x'.repeat(70_000)) + whole],
  ])('%s', async (_, body) => {
    for (const sizes of [[1000], [1]])
      await expect(read(requestOf(encode(body), { sizes }))).rejects.toMatchObject({
        code: 'invalid_request',
      })
  })

  // @threat form-interrupted
  it.each([
    ['its fields', 20],
    ['its file', encode(`${field('a', '1')}${FILE}te`).length],
  ])('whose client leaves in the middle of %s', async (_, sent) => {
    const reason = new Error('Network connection lost.')
    const { headers } = requestOf(encode(whole))
    const body = new ReadableStream({
      type: 'bytes',
      start: (controller) => controller.enqueue(encode(whole).slice(0, sent)),
      pull: (controller) => controller.error(reason),
    })
    await expect(read({ body, headers } as unknown as Request)).rejects.toMatchObject({
      code: 'invalid_request',
      cause: reason,
    })
  })

  it('that is shorter or longer than its Content-Length', async () => {
    const body = encode(whole)
    for (const length of [body.length - 1, body.length + 1, 10])
      await expect(read(requestOf(body, { length }))).rejects.toMatchObject({
        code: 'invalid_request',
      })
  })

  it('without a Content-Length', async () => {
    const request = requestOf(encode(whole), { length: null })
    await expect(readForm(request)).rejects.toMatchObject({ code: 'size_required' })
  })

  it('with more bytes than Cloudflare accepts', async () => {
    const request = requestOf(encode(whole), { length: 100_000_001 })
    await expect(readForm(request)).rejects.toMatchObject({ code: 'body_too_large' })
  })

  it.each(['application/json', 'multipart/form-data', 'multipart/form-data; boundary=', ''])(
    'with the Content-Type %j',
    async (type) => {
      const request = requestOf(encode(whole), { headers: { 'Content-Type': type } })
      await expect(readForm(request)).rejects.toMatchObject({ code: 'unsupported_media_type' })
    },
  )
})

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}
