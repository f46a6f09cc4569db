import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { s3rverBucket, testWorker } from '../support/worker.ts'

const worker = testWorker({
  BUCKETS: {
    files: s3rverBucket(),
    images: { ...s3rverBucket(), maxBytes: 1000, allowedTypes: ['image/*', 'application/pdf'] },
  },
})

afterEach(() => {
  vi.useRealTimers()
})

const refusal = async (response: Response) => {
  const body: Record<string, unknown> = await response.json()
  expect(body).toMatchObject({ message: expect.any(String), requestId: expect.any(String) })
  expect(body.requestId).toBe(response.headers.get('X-Request-Id'))
  return `${response.status} ${body.code}`
}

describe('a key in the path', () => {
  it.each([
    ['..%2Fsecret', '400 invalid_key'],
    ['a%2F..%2Fb', '400 invalid_key'],
    ['a%2F.%2Fb', '400 invalid_key'],
    ['%2e%2e%2fsecret', '400 invalid_key'],
    ['%2E%2E%2Fsecret', '400 invalid_key'],
    ['a%2F%2e%2e', '400 invalid_key'],
    ['a%00b', '400 invalid_key'],
    ['a%0D%0Ab', '400 invalid_key'],
    ['a%7Fb', '400 invalid_key'],
    ['a%C2%85b', '400 invalid_key'],
    ['k'.repeat(1025), '400 invalid_key'],
    ['%E6%BC%A2'.repeat(342), '400 invalid_key'],
    ['%E0%A4', '400 malformed_url'],
    ['%zz', '400 malformed_url'],
    ['%ff', '400 malformed_url'],
    ['a%', '400 malformed_url'],
    ['%ED%A0%80', '400 malformed_url'],
  ])('%s is refused', async (segment, expected) => {
    expect(await refusal(await worker.fetch(`/files/${segment}/url`))).toBe(expected)
    expect(await refusal(await worker.fetch(`/files/${segment}`))).toBe(expected)
    expect(await refusal(await worker.fetch(`/files/${segment}`, { method: 'DELETE' }))).toBe(
      expected,
    )
  })

  it.each([
    ['..%5Csecret', '..\\secret'],
    ['%252e%252e%252fsecret', '%2e%2e%2fsecret'],
    ['a%2Fb', 'a/b'],
    ['a/b', 'a/b'],
    ['a%2Furl', 'a/url'],
    ['%2Fa', '/a'],
    ['a%2F%2Fb', 'a//b'],
    ['a+b%20c', 'a+b c'],
    ['%F0%9F%98%80', '😀'],
    ['a%E2%80%A8b', 'a\u2028b'],
    ['k'.repeat(1024), 'k'.repeat(1024)],
  ])('%s is signed unchanged', async (segment, key) => {
    const response = await worker.fetch(`/files/${segment}/url`)
    const body: { url: string; key: string } = await response.json()
    expect(body.key).toBe(key)
    expect(decodeURIComponent(new URL(body.url).pathname)).toBe(`/files/${key}`)
  })
})

describe('a key in a body', () => {
  it.each([
    '',
    '..',
    '../a',
    'a/..',
    'a/./b',
    '\u0000',
    'a\nb',
    '\ud800',
    'a\udfff',
    'k'.repeat(1025),
  ])('%j is refused', async (key) => {
    expect(await refusal(await worker.post('/files', { key, name: 'n' }))).toBe('400 invalid_key')
  })
})

describe('a bucket', () => {
  it.each(['nope', 'constructor', '__proto__', 'toString', '', 'FILES', 'files '])(
    'named %j is unknown',
    async (bucket) => {
      const query = `bucket=${encodeURIComponent(bucket)}`
      const upload = { fileName: 'a.txt', mimetype: 'text/plain', bucket }
      for (const response of [
        await worker.post('/files/upload-url', upload),
        await worker.post('/files', { key: 'a', name: 'a', bucket }),
        await worker.fetch(`/files/a/url?${query}`),
        await worker.fetch(`/files?${query}`),
        await worker.fetch(`/files/a?${query}`),
        await worker.fetch(`/files/a?${query}`, { method: 'DELETE' }),
      ])
        expect(await refusal(response)).toBe('404 unknown_bucket')
    },
  )
})

describe('a body', () => {
  const send = (body: string, type = 'application/json') =>
    worker.fetch('/files/upload-url', { method: 'POST', body, headers: { 'Content-Type': type } })

  it.each([
    ['nothing', '', '400 malformed_json'],
    ['cut short', '{"fileName":', '400 malformed_json'],
    ['text', 'hello', '400 malformed_json'],
    ['null', 'null', '400 invalid_request'],
    ['a list', '[]', '400 invalid_request'],
    ['empty', '{}', '400 invalid_request'],
    [
      'with an unknown member',
      '{"fileName":"a","mimetype":"a/b","expires":1}',
      '400 invalid_request',
    ],
    [
      'with __proto__',
      '{"fileName":"a","mimetype":"a/b","__proto__":{"size":1}}',
      '400 invalid_request',
    ],
    ['with a number in place of text', '{"fileName":7,"mimetype":"a/b"}', '400 invalid_request'],
    ['with an empty name', '{"fileName":"","mimetype":"a/b"}', '400 invalid_request'],
    ['with a negative size', '{"fileName":"a","mimetype":"a/b","size":-1}', '400 invalid_request'],
    ['with half a byte', '{"fileName":"a","mimetype":"a/b","size":0.5}', '400 invalid_request'],
    [
      'with a hexadecimal checksum',
      `{"fileName":"a","mimetype":"a/b","sha256":"${'0'.repeat(64)}"}`,
      '400 invalid_request',
    ],
    [
      'with a header that contains a line break',
      '{"fileName":"a","mimetype":"a/b","cacheControl":"a\\r\\nb: c"}',
      '400 invalid_request',
    ],
    [
      'with metadata that names a header',
      '{"fileName":"a","mimetype":"a/b","metadata":{"a b":"c"}}',
      '400 invalid_request',
    ],
    [
      'with too much metadata',
      `{"fileName":"a","mimetype":"a/b","metadata":{"a":"${'x'.repeat(2048)}"}}`,
      '400 invalid_request',
    ],
    [
      'with a directory that leads up',
      '{"fileName":"a","mimetype":"a/b","directory":"x/.."}',
      '400 invalid_key',
    ],
    [
      'with a directory that ends with a slash',
      '{"fileName":"a","mimetype":"a/b","directory":"x/"}',
      '400 invalid_request',
    ],
  ])('that is %s is refused', async (_, body, expected) => {
    expect(await refusal(await send(body))).toBe(expected)
  })

  it('names the invalid members', async () => {
    const response = await send('{"fileName":7,"size":"1"}')
    expect(await response.json()).toMatchObject({
      code: 'invalid_request',
      issues: expect.arrayContaining([
        { path: 'fileName', message: expect.any(String) },
        { path: 'size', message: expect.any(String) },
        { path: 'mimetype', message: expect.any(String) },
      ]),
    })
  })

  it('with a different Content-Type is refused', async () => {
    for (const type of ['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded'])
      expect(await refusal(await send('{}', type))).toBe('415 unsupported_media_type')
  })

  it('over 64 KiB is refused, and one of 64 KiB is accepted', async () => {
    const body = JSON.stringify({ fileName: 'a', mimetype: 'a/b' })
    expect((await send(body.padEnd(65_536))).status).toBe(200)
    expect(await refusal(await send(body.padEnd(65_537)))).toBe('413 body_too_large')
  })
})

describe('an upload', () => {
  const ask = (upload: Record<string, unknown>) =>
    worker.post('/files/upload-url', { fileName: 'a.txt', mimetype: 'text/plain', ...upload })

  it.each([
    [{ expiresIn: 0 }, '400 invalid_expiry'],
    [{ expiresIn: -1 }, '400 invalid_expiry'],
    [{ expiresIn: 3601 }, '400 invalid_expiry'],
    [{ expiresIn: 1.5 }, '400 invalid_request'],
    [{ expiresIn: '60' }, '400 invalid_request'],
    [{ mimetype: 'text' }, '400 invalid_mimetype'],
    [{ mimetype: '' }, '400 invalid_mimetype'],
    [{ mimetype: 'text/' }, '400 invalid_mimetype'],
    [{ mimetype: 'text/plain\r\nX: y' }, '400 invalid_mimetype'],
    [{ mimetype: 'image/png, text/html' }, '400 invalid_mimetype'],
    [{ mimetype: 'text/html', fileName: 'a.png' }, '400 type_mismatch'],
    [{ mimetype: 'IMAGE/SVG+XML', fileName: 'a.png' }, '400 type_mismatch'],
    [{ mimetype: 'text/html; charset=utf-8', fileName: 'a' }, '400 type_mismatch'],
    [{ size: 5 * 1024 ** 3 + 1 }, '413 file_too_large'],
    [{ bucket: 'images' }, '400 mimetype_not_allowed'],
    [{ bucket: 'images', mimetype: 'imagex/png', size: 1 }, '400 mimetype_not_allowed'],
    [{ bucket: 'images', mimetype: 'image/png' }, '400 size_required'],
    [{ bucket: 'images', mimetype: 'image/png', size: 1001 }, '413 file_too_large'],
  ])('%j is refused', async (upload, expected) => {
    expect(await refusal(await ask(upload))).toBe(expected)
    expect((await env.FILE_INDEX.list()).keys).toEqual([])
  })

  it.each([
    { expiresIn: 1 },
    { expiresIn: 3600 },
    { size: 0 },
    { size: 5 * 1024 ** 3 },
    { mimetype: 'text/html', fileName: 'a.HTML' },
    { mimetype: 'video/webm;codecs=vp9', fileName: 'a.webm' },
    { bucket: 'images', mimetype: 'IMAGE/png', size: 1000 },
    { bucket: 'images', mimetype: 'application/pdf', size: 1 },
  ])('%j is accepted', async (upload) => {
    expect((await ask(upload)).status).toBe(200)
  })
})

describe('a download', () => {
  it.each([
    ['expiresIn=0', '400 invalid_expiry'],
    ['expiresIn=604801', '400 invalid_expiry'],
    ['stable=true&expiresIn=302401', '400 invalid_expiry'],
    ['expiresIn=-1', '400 invalid_request'],
    ['expiresIn=1e3', '400 invalid_request'],
    ['expiresIn=', '400 invalid_request'],
    ['use=upload', '400 invalid_request'],
    ['use=constructor', '400 invalid_request'],
    ['stable=yes', '400 invalid_request'],
    ['download=', '400 invalid_request'],
    ['download=a&download=b', '400 invalid_request'],
    ['expires=60', '400 invalid_request'],
    ['download=%ff', '400 malformed_url'],
  ])('with %s is refused', async (query, expected) => {
    expect(await refusal(await worker.fetch(`/files/a.txt/url?${query}`))).toBe(expected)
  })

  it.each([
    ['', '900'],
    ['use=view', '900'],
    ['use=stream', '7200'],
    ['use=email', '172800'],
    ['expiresIn=1', '1'],
    ['expiresIn=604800', '604800'],
    ['stable=true&expiresIn=302400', '604800'],
  ])('with %j is valid for %s seconds', async (query, expires) => {
    const response = await worker.fetch(`/files/a.txt/url?${query}`)
    const { url }: { url: string } = await response.json()
    expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe(expires)
  })

  it('gives every caller the same stable URL', async () => {
    const ask = async (now: string) => {
      vi.setSystemTime(now)
      const response = await worker.fetch('/files/a.txt/url?stable=true&expiresIn=86400')
      return (await response.json<{ url: string }>()).url
    }
    vi.useFakeTimers({ toFake: ['Date'] })
    const url = await ask('2026-11-25T00:00:00Z')
    expect(url).toContain('X-Amz-Signature=')
    expect(await ask('2026-11-25T00:00:01Z')).toBe(url)
    expect(await ask('2026-11-25T23:59:59Z')).toBe(url)
    expect(await ask('2026-11-26T00:00:00Z')).not.toBe(url)
  })

  it.each([
    ['a.svg', '', 'attachment'],
    ['a.HTML', '', 'attachment'],
    ['a.svg', 'inline=true', null],
    ['a.png', '', null],
    ['a.png', 'download=x.png', 'attachment; filename="x.png"'],
    ['a.svg', 'inline=true&download=x.svg', 'attachment; filename="x.svg"'],
  ])('of %s with %j has Content-Disposition %s', async (key, query, disposition) => {
    const { url }: { url: string } = await (await worker.fetch(`/files/${key}/url?${query}`)).json()
    expect(new URL(url).searchParams.get('response-content-disposition')).toBe(disposition)
  })
})

describe('a route', () => {
  it.each([
    ['GET', '/'],
    ['GET', '/files/'],
    ['PUT', '/files'],
    ['PATCH', '/files'],
    ['POST', '/files/a'],
    ['GET', '/nope'],
  ])('%s %s does not exist', async (method, path) => {
    expect(await refusal(await worker.fetch(path, { method }))).toBe('404 not_found')
  })
})

describe('a body with an unknown member', () => {
  // @threat body-hostile
  it.each([
    ['/files/upload-url', { fileName: 'a.txt', mimetype: 'text/plain' }],
    ['/files', { key: 'a.txt', name: 'a.txt' }],
    ['/files/urls', { keys: ['a.txt'] }],
    ['/files/a.txt/link', {}],
    ['/links', { keys: ['a.txt'] }],
    ['/multipart', { fileName: 'a.txt', mimetype: 'text/plain' }],
    ['/tokens', { scopes: ['files:read'] }],
  ])('is refused by POST %s', async (path, body) => {
    expect(await refusal(await worker.post(path, { ...body, expiresln: 60 }))).toBe(
      '400 invalid_request',
    )
  })
})
