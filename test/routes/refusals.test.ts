import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { outcomeOf, ROUTES, requestTo } from '../support/protected-routes.ts'
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
  it('is refused if it is malformed', async () => {
    for (const [segment, expected] of [
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
    ] as const) {
      const path = `/files/${segment}`
      expect.soft(await refusal(await worker.fetch(`${path}/url`)), segment).toBe(expected)
      expect.soft(await refusal(await worker.fetch(path)), segment).toBe(expected)
      const deleted = await worker.fetch(path, { method: 'DELETE' })
      expect.soft(await refusal(deleted), segment).toBe(expected)
    }
  })

  it('is signed unchanged if it is valid', async () => {
    for (const [segment, key] of [
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
    ] as const) {
      const response = await worker.fetch(`/files/${segment}/url`)
      const body: { url: string; key: string } = await response.json()
      expect.soft(body.key, segment).toBe(key)
      expect.soft(decodeURIComponent(new URL(body.url).pathname), segment).toBe(`/files/${key}`)
    }
  })
})

describe('a key in a body', () => {
  it('is refused if it is malformed', async () => {
    for (const key of [
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
    ]) {
      const response = await worker.post('/files', { key, name: 'n' })
      expect.soft(await refusal(response), JSON.stringify(key)).toBe('400 invalid_key')
    }
  })
})

describe('a bucket', () => {
  // @threat body-hostile
  it('is unknown unless its alias is exactly this', async () => {
    for (const bucket of ['nope', 'constructor', '__proto__', 'toString', '', 'FILES', 'files ']) {
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
        expect.soft(await refusal(response), `"${bucket}"`).toBe('404 unknown_bucket')
    }
  })
})

describe('a body', () => {
  const send = (body: string, type = 'application/json') =>
    worker.fetch('/files/upload-url', { method: 'POST', body, headers: { 'Content-Type': type } })

  it('is refused if it is malformed', async () => {
    for (const [kind, body, expected] of [
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
      ['with a number instead of text', '{"fileName":7,"mimetype":"a/b"}', '400 invalid_request'],
      ['with an empty name', '{"fileName":"","mimetype":"a/b"}', '400 invalid_request'],
      [
        'with a negative size',
        '{"fileName":"a","mimetype":"a/b","size":-1}',
        '400 invalid_request',
      ],
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
    ] as const) {
      expect.soft(await refusal(await send(body)), kind).toBe(expected)
    }
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

  it('is refused for what is invalid or not allowed', async () => {
    for (const [upload, expected] of [
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
    ] as const) {
      expect.soft(await refusal(await ask(upload)), JSON.stringify(upload)).toBe(expected)
      expect((await env.FILE_INDEX.list()).keys).toEqual([])
    }
  })

  it('is accepted at its limits', async () => {
    for (const upload of [
      { expiresIn: 1 },
      { expiresIn: 3600 },
      { size: 0 },
      { size: 5 * 1024 ** 3 },
      { mimetype: 'text/html', fileName: 'a.HTML' },
      { mimetype: 'video/webm;codecs=vp9', fileName: 'a.webm' },
      { bucket: 'images', mimetype: 'IMAGE/png', size: 1000 },
      { bucket: 'images', mimetype: 'application/pdf', size: 1 },
    ]) {
      expect.soft((await ask(upload)).status, JSON.stringify(upload)).toBe(200)
    }
  })
})

describe('a download', () => {
  it('is refused with an invalid query', async () => {
    for (const [query, expected] of [
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
    ] as const) {
      const response = await worker.fetch(`/files/a.txt/url?${query}`)
      expect.soft(await refusal(response), query).toBe(expected)
    }
  })

  it('is valid as long as its use or the request says', async () => {
    for (const [query, expires] of [
      ['', '900'],
      ['use=view', '900'],
      ['use=stream', '7200'],
      ['use=email', '172800'],
      ['expiresIn=1', '1'],
      ['expiresIn=604800', '604800'],
      ['stable=true&expiresIn=302400', '604800'],
    ] as const) {
      const response = await worker.fetch(`/files/a.txt/url?${query}`)
      const { url }: { url: string } = await response.json()
      expect.soft(new URL(url).searchParams.get('X-Amz-Expires'), query).toBe(expires)
    }
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

  it('is an attachment if it is asked for, or the type is not inert', async () => {
    for (const [key, query, disposition] of [
      ['a.svg', '', 'attachment'],
      ['a.HTML', '', 'attachment'],
      ['a.svg', 'inline=true', null],
      ['a.png', '', null],
      ['a.png', 'download=x.png', 'attachment; filename="x.png"'],
      ['a.svg', 'inline=true&download=x.svg', 'attachment; filename="x.svg"'],
    ] as const) {
      const { url }: { url: string } = await (
        await worker.fetch(`/files/${key}/url?${query}`)
      ).json()
      const signed = new URL(url).searchParams.get('response-content-disposition')
      expect.soft(signed, `${key} ${query}`).toBe(disposition)
    }
  })
})

describe('a route', () => {
  it('that is not in the table does not exist', async () => {
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/files/'],
      ['PUT', '/files'],
      ['PATCH', '/files'],
      ['POST', '/files/a'],
      ['GET', '/nope'],
    ] as const) {
      const response = await worker.fetch(path, { method })
      expect.soft(await refusal(response), `${method} ${path}`).toBe('404 not_found')
    }
  })
})

describe('a body with an unknown member', () => {
  it("is refused by every route except Uppy's, whose later versions may send more", async () => {
    for (const route of ROUTES) {
      const [path, body] = route.request('a.txt', 'x')
      if (body === undefined) continue
      const init = requestTo(route, 'a.txt')[1]
      const response = await worker.fetch(path, {
        ...init,
        body: JSON.stringify({ ...body, expiresln: 60 }),
      })
      const isUppy = path.startsWith('/s3/')
      const outcome = await outcomeOf(route, response)
      if (isUppy) expect.soft(outcome, route.route).toBe(route.allowed)
      else expect.soft(outcome, route.route).toBe('400 invalid_request')
    }
  })
})
