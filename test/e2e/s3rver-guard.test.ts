import { createHash, createHmac } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { AwsV4Signer } from 'aws4fetch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'

const PAGE = 'http://localhost:8787'
const KEY = 'kept.txt'
/** A placeholder for the id of an upload in progress. */
const OPEN = 'open'

let root = ''
let server: S3Server
let host = ''

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const directory = join(root, 'data')
  server = await startS3rver({ port: 0, directory, corsOrigins: [PAGE] })
  host = new URL(server.endpoint).host
  const put = await fetch(signedUrl('PUT', `/files/${KEY}`), { method: 'PUT', body: 'kept' })
  expect(put.status).toBe(200)
})

afterAll(async () => {
  await server.close()
  await rm(root, { recursive: true })
})

interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** Sends a request unchanged. Clients would normalize its path. */
async function raw(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): Promise<Answer> {
  const all = { Host: host, 'Content-Length': `${Buffer.byteLength(body)}`, ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const socket = connect(Number(new URL(server.endpoint).port), '127.0.0.1')
  socket.write(`${method} ${target} HTTP/1.1\r\nConnection: close\r\n${lines.join('')}\r\n${body}`)
  const answer = await text(socket)
  const [head = '', ...rest] = answer.split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), head, body: rest.join('\r\n\r\n') }
}

/**
 * Signs a path and query as s3rver reads them: signer and server decode the path once, and keep dot
 * segments. `signedHost` goes into the signature.
 */
function signed(method: string, path: string, query = '', signedHost = host): string {
  const datetime = new Date().toISOString().replace(/[:-]|\.\d{3}/g, '')
  const scope = `${datetime.slice(0, 8)}/us-east-1/s3/aws4_request`
  const parameters = [
    ...query.split('&').filter(Boolean),
    'X-Amz-Algorithm=AWS4-HMAC-SHA256',
    `X-Amz-Credential=${encodeURIComponent(`${server.accessKeyId}/${scope}`)}`,
    `X-Amz-Date=${datetime}`,
    'X-Amz-Expires=300',
    'X-Amz-SignedHeaders=host',
  ]
  const canonicalQuery = parameters
    .map((parameter) => (parameter.includes('=') ? parameter : `${parameter}=`))
    .sort()
    .join('&')
  const canonicalPath = path
    .split('/')
    .flatMap((segment) => decodeURIComponent(segment).split('/'))
    .map((segment) => encodeURIComponent(segment))
    .join('/')
  const request = `${method}\n${canonicalPath}\n${canonicalQuery}\nhost:${signedHost}\n\nhost\nUNSIGNED-PAYLOAD`
  const digest = createHash('sha256').update(request).digest('hex')
  const signature = signWith(`AWS4-HMAC-SHA256\n${datetime}\n${scope}\n${digest}`, scope)
  return `${path}?${parameters.join('&')}&X-Amz-Signature=${signature}`
}

const hmac = (key: string | Buffer, data: string): Buffer =>
  createHmac('sha256', key).update(data).digest()

const signWith = (data: string, scope: string): string =>
  hmac(
    scope.split('/').reduce<string | Buffer>(hmac, `AWS4${server.secretAccessKey}`) as Buffer,
    data,
  ).toString('hex')

const signedUrl = (method: string, path: string): string => server.endpoint + signed(method, path)

const filesOf = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder, { recursive: true })).sort()

/** Runs `attack` and expects that no file on disk has changed. */
async function expectUntouched(attack: () => Promise<unknown>): Promise<void> {
  const before = await filesOf(root)
  await attack()
  expect(await filesOf(root)).toEqual(before)
  expect(await readFile(join(root, 'data/files', `${KEY}._S3rver_object`), 'utf8')).toBe('kept')
}

describe('the guard of s3rver', () => {
  it('accepts a signed request, by header or query, for each name of localhost', async () => {
    expect(await raw('GET', signed('GET', `/files/${KEY}`))).toMatchObject({ body: 'kept' })
    const url = `${server.endpoint}/files/${KEY}`
    const signer = new AwsV4Signer({ ...server, url, service: 's3' })
    const { headers } = await signer.sign()
    expect(await (await fetch(url, { headers })).text()).toBe('kept')
    const { port } = new URL(server.endpoint)
    for (const name of ['localhost', 's3.localhost', 'LOCALHOST:1', `127.0.0.1:${port}`, '[::1]']) {
      const target = signed('GET', `/files/${KEY}`, '', name)
      expect([name, (await raw('GET', target, { Host: name })).status]).toEqual([name, 200])
    }
  })

  // @threat dev-rebinding
  it.each([
    'evil.example',
    'evil.example:4568',
    'localhost.evil.example',
    'localhost@evil.example',
    'evillocalhost',
    'localhost.',
    '127.0.0.1.evil.example',
    '192.168.0.1',
    '0.0.0.0',
    '',
  ])('refuses a request for the host %j, signed or not', async (name) => {
    const target = signed('GET', `/files/${KEY}`, '', name)
    expect(await raw('GET', target, { Host: name })).toMatchObject({ status: 403 })
    await expectUntouched(async () => {
      const put = signed('PUT', '/files/rebound.txt', '', name)
      expect(await raw('PUT', put, { Host: name }, 'x')).toMatchObject({ status: 403 })
    })
  })

  // @threat dev-unsigned
  it.each([
    ['GET', '/'],
    ['GET', `/files/${KEY}`],
    ['HEAD', `/files/${KEY}`],
    ['GET', '/files'],
    ['PUT', '/files/new.txt'],
    ['PUT', '/files/new.txt?partNumber=1&uploadId=abc'],
    ['POST', '/files/new.txt?uploads'],
    ['POST', '/files?delete'],
    ['DELETE', `/files/${KEY}`],
    ['DELETE', '/files'],
    ['PUT', '/fresh-bucket'],
    ['OPTIONS', `/files/${KEY}`],
  ])('refuses %s %s without a signature, as AWS does', async (method, target) => {
    await expectUntouched(async () => {
      const { status, body } = await raw(method, target, {}, method === 'GET' ? '' : 'x')
      expect(status).toBe(403)
      if (method !== 'HEAD') expect(body).toContain('<Code>AccessDenied</Code>')
    })
  })

  it.each<readonly [string, string, Readonly<Record<string, string>>]>([
    ['only X-Amz-Signature', '?X-Amz-Signature=00', {}],
    ['only X-Amz-Algorithm', '?X-Amz-Algorithm=AWS4-HMAC-SHA256', {}],
    ['an algorithm in lower case', '?x-amz-algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00', {}],
    ['a different algorithm', '?X-Amz-Algorithm=none&X-Amz-Signature=00', {}],
    ['version 2', '?AWSAccessKeyId=S3RVER&Expires=9999999999&Signature=x', {}],
    ['version 2 in a header', '', { Authorization: 'AWS S3RVER:x' }],
    ['a bearer token', '', { Authorization: 'Bearer x' }],
    ['an empty Authorization', '', { Authorization: '' }],
    [
      'header and query',
      '?X-Amz-Algorithm=AWS4-HMAC-SHA256',
      { Authorization: 'AWS4-HMAC-SHA256 x' },
    ],
    ['Authorization in the query', '?Authorization=AWS4-HMAC-SHA256', {}],
  ])('does not accept %s as a signature', async (_, query, headers) => {
    await expectUntouched(async () => {
      for (const method of ['GET', 'PUT', 'DELETE'])
        expect(await raw(method, `/files/${KEY}${query}`, headers)).toMatchObject({ status: 403 })
    })
  })

  it('lets s3rver refuse a wrong signature, even in a bucket that is a website', async () => {
    const website =
      '<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>'
    const target = signed('PUT', '/files', 'website')
    expect(await raw('PUT', target, {}, website)).toMatchObject({ status: 501 })
    const file = join(root, 'data/files', '._S3rver_website.xml')
    await writeFile(file, website)
    const scope = 'S3RVER/20261125/us-east-1/s3/aws4_request'
    const Authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=00`
    const answer = await raw('GET', `/files/${KEY}`, { Authorization })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.body).not.toContain('kept')
    await rm(file)
  })

  it.each([
    'https://evil.example',
    'null',
    'http://localhost:9999',
    `${PAGE}.evil.example`,
    'self',
  ])('refuses writes from a page of the origin %s, and shows it nothing', async (name) => {
    const Origin = name === 'self' ? server.endpoint : name
    await expectUntouched(async () => {
      for (const method of ['PUT', 'POST', 'DELETE']) {
        const answer = await raw(method, signed(method, `/files/${KEY}`), { Origin })
        expect(answer.status).toBe(403)
        expect(answer.head).not.toMatch(/access-control/i)
      }
    })
    const preflight = { Origin, 'Access-Control-Request-Method': 'PUT' }
    const asked = await raw('OPTIONS', `/files/${KEY}`, preflight)
    const got = await raw('GET', signed('GET', `/files/${KEY}`), { Origin })
    expect([asked.status, got.status]).toEqual([403, 200])
    expect(asked.head + got.head).not.toMatch(/access-control/i)
  })

  it('answers the preflight and the upload of a page of the Worker', async () => {
    const preflight = await raw('OPTIONS', '/files/page.txt', {
      Origin: PAGE,
      'Access-Control-Request-Method': 'PUT',
      'Access-Control-Request-Headers': 'content-type',
    })
    expect(preflight.status).toBe(200)
    expect(preflight.head).toMatch(/access-control-allow-methods: .*PUT/i)
    const put = await raw('PUT', signed('PUT', '/files/page.txt'), { Origin: PAGE }, 'x')
    expect(put.status).toBe(200)
    expect(put.head).toContain(`Access-Control-Allow-Origin: ${PAGE}`)
  })

  // @threat dev-leaves-folder
  it.each([
    ['/files/../../evil.txt', 'PUT'],
    ['/files/..%2F..%2Fevil.txt', 'PUT'],
    ['/files/%2e%2e/%2E%2E/evil.txt', 'PUT'],
    ['/files/a/..%5C..%5Cevil.txt', 'PUT'],
    ['/files/./evil.txt', 'PUT'],
    ['/files/a%2F.', 'PUT'],
    ['/files/evil%00.txt', 'PUT'],
    ['/files/%2e%2e%2f%2e%2e%2fevil.txt', 'PUT'],
    ['/files/._S3rver_uploads/a/key', 'PUT'],
    ['/../evil.txt', 'PUT'],
    ['/%2e%2e/evil.txt', 'PUT'],
    ['/..%2F..', 'DELETE'],
    ['/..', 'DELETE'],
    ['/.', 'DELETE'],
    ['//files/evil.txt', 'PUT'],
    ['/files/../../data/files/kept.txt', 'DELETE'],
  ])('refuses the signed path %s', async (path, method) => {
    await expectUntouched(async () => {
      const { status } = await raw(method, signed(method, path), {}, 'evil')
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(500)
    })
  })

  it('refuses a target that is a whole URL', async () => {
    const target = signed('PUT', '/files/evil.txt')
    await expectUntouched(async () =>
      expect(await raw('PUT', `http://${host}${target}`, {}, 'x')).toMatchObject({ status: 400 }),
    )
  })

  it('decodes a path once: %252e%252e is not the parent folder', async () => {
    const put = await raw('PUT', signed('PUT', '/files/%252e%252e/x.txt'), {}, 'x')
    expect(put.status).toBe(200)
    expect(await filesOf(join(root, 'data/files/%2e%2e'))).toContain('x.txt._S3rver_object')
  })

  it.each([
    ['1', '..%2F..%2F..%2Foutside'],
    ['1', '..%5C..%5Coutside'],
    ['1', '.'],
    ['1', 'a%00b'],
    ['1', 'a%2Fb'],
    ['1', ''],
    ['.bashrc', OPEN],
    ['..%2F..%2F.bashrc', OPEN],
    ['0', OPEN],
    ['-1', OPEN],
    ['01', OPEN],
    ['1.5', OPEN],
    ['1e3', OPEN],
    ['10001', OPEN],
    ['key', OPEN],
  ])('refuses a part with the number %s of the upload %j', async (partNumber, uploadId) => {
    const begun = await raw('POST', signed('POST', '/files/p', 'uploads'))
    const [, open = ''] = /<UploadId>(\w+)</.exec(begun.body) ?? []
    const id = uploadId === OPEN ? open : uploadId
    const query = `partNumber=${partNumber}&uploadId=${id}`
    await expectUntouched(async () => {
      const { status } = await raw('PUT', signed('PUT', '/files/p', query), {}, 'evil')
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(500)
    })
  })

  // @threat dev-leaves-folder
  it('deletes no folder when an upload that names it is completed or aborted', async () => {
    // Makes a folder look like an upload's folder.
    for (const folder of ['.', 'data', 'data/files'])
      await writeFile(join(root, folder, 'key'), 'p')
    const complete = (number: string) =>
      `<CompleteMultipartUpload><Part><PartNumber>${number}</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>`
    await expectUntouched(async () => {
      for (const uploadId of ['..%2F..%2Ffiles', '..', '.', '..%2F..%2F..'])
        for (const number of ['1', '..', '../../files/kept.txt']) {
          const target = signed('POST', '/files/p', `uploadId=${uploadId}`)
          expect((await raw('POST', target, {}, complete(number))).status).toBe(404)
          for (const method of ['GET', 'DELETE']) {
            const named = signed(method, '/files/p', `uploadId=${uploadId}`)
            expect((await raw(method, named)).status).toBe(404)
          }
        }
    })
  })

  it('reads and deletes nothing outside the bucket through x-amz-copy-source or a list of keys', async () => {
    for (const end of ['object', 'object.md5', 'metadata.json'])
      await writeFile(join(root, `x._S3rver_${end}`), '{}')
    await expectUntouched(async () => {
      for (const source of ['../x', '/../../x', 'files/../../x', '/files/..%2f', '%2e%2e/x']) {
        const put = signed('PUT', '/files/copy.txt')
        const { status } = await raw('PUT', put, { 'x-amz-copy-source': source })
        expect(status).toBeGreaterThanOrEqual(400)
      }
      const list = '<Delete><Object><Key>../files/kept.txt</Key></Object></Delete>'
      const target = signed('POST', '/files', 'delete')
      expect((await raw('POST', target, {}, list)).status).toBe(400)
    })
  })

  it.each([
    'partNumber=1&partNumber=2&uploadId=abc',
    'partNumber=1&uploadId=abc&uploadId=..%2F..',
    'partNumber=1&uploadId=abc&UploadId=x',
    'X-Amz-Expires=1&x-amz-expires=300',
  ])('refuses the repeated parameters %s', async (query) => {
    await expectUntouched(async () => {
      const put = signed('PUT', '/files/twice.txt', query)
      expect((await raw('PUT', put, {}, 'x')).status).toBe(400)
    })
  })
})

type Fields = Record<string, string>

interface Form {
  readonly fields?: Fields
  readonly conditions?: readonly unknown[]
  readonly expires?: number
}

/** Returns a form for `key` with a policy that allows 4 to 10 bytes and names each field. */
function signedForm({ fields = {}, conditions = [], expires = Date.now() + 60_000 }: Form): Fields {
  const datetime = new Date().toISOString().replace(/[:-]|\.\d{3}/g, '')
  const scope = `${datetime.slice(0, 8)}/us-east-1/s3/aws4_request`
  const all: Fields = {
    key: 'form/a.txt',
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-credential': `${server.accessKeyId}/${scope}`,
    'x-amz-date': datetime,
    ...fields,
  }
  const policy = Buffer.from(
    JSON.stringify({
      expiration: new Date(expires).toISOString(),
      conditions: [
        { bucket: 'files' },
        ['content-length-range', 4, 10],
        ...Object.entries(all).map(([name, value]) => ({ [name]: value })),
        ...conditions,
      ],
    }),
  ).toString('base64')
  return { ...all, policy, 'x-amz-signature': signWith(policy, scope) }
}

/** Posts a form with a file, which goes last. */
async function postForm(fields: Fields, file = 'text', bucket = 'files'): Promise<Response> {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  form.append('file', new Blob([file]), 'name.html')
  return fetch(`${server.endpoint}/${bucket}`, { method: 'POST', body: form, redirect: 'manual' })
}

describe('a form for s3rver', () => {
  it('is stored when its policy is signed', async () => {
    const stored = await postForm(signedForm({ fields: { success_action_status: '201' } }))
    expect([stored.status, await stored.text()]).toEqual([
      201,
      expect.stringContaining('<Key>form/a.txt</Key>'),
    ])
    const got = await fetch(signedUrl('GET', '/files/form/a.txt'))
    expect(await got.text()).toBe('text')
  })

  it('redirects the browser only to an http or https URL of its policy', async () => {
    const to = (url: string) => postForm(signedForm({ fields: { success_action_redirect: url } }))
    const sent = await to('https://app.example/done?a=b')
    expect(sent.status).toBe(303)
    expect(sent.headers.get('Location')).toMatch(
      /^https:\/\/app\.example\/done\?a=b&bucket=files&key=/,
    )
    for (const url of ['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'nowhere'])
      await expectUntouched(async () => expect((await to(url)).status).toBe(400))
  })

  const without = (name: string): Fields => {
    const { [name]: _, ...rest } = signedForm({})
    return rest
  }
  // @threat dev-unsigned
  it.each<[string, () => Fields, string?, string?]>([
    ['a missing policy', () => ({ key: 'evil.txt' })],
    ['no policy', () => without('policy')],
    ['no signature', () => without('x-amz-signature')],
    ['a wrong signature', () => ({ ...signedForm({}), 'x-amz-signature': '0'.repeat(64) })],
    ['a short signature', () => ({ ...signedForm({}), 'x-amz-signature': '00' })],
    [
      'a different access key',
      () => signedForm({ fields: { 'x-amz-credential': 'X/20261125/r/s3/aws4_request' } }),
    ],
    ['a different algorithm', () => signedForm({ fields: { 'x-amz-algorithm': 'none' } })],
    ['a different date', () => signedForm({ fields: { 'x-amz-date': '20200101T000000Z' } })],
    ['an expired policy', () => signedForm({ expires: Date.now() - 1000 })],
    [
      'a changed policy',
      () => ({ ...signedForm({}), policy: Buffer.from('{}').toString('base64') }),
    ],
    ['a different key', () => ({ ...signedForm({}), key: 'evil.txt' })],
    [
      'a field that the policy does not name',
      () => ({ ...signedForm({}), 'content-type': 'text/html' }),
    ],
    [
      'a redirect that the policy does not name',
      () => ({ ...signedForm({}), success_action_redirect: 'https://evil.example' }),
    ],
    [
      'a status that the policy does not name',
      () => ({ ...signedForm({}), success_action_status: '200' }),
    ],
    ['a repeated field', () => ({ ...signedForm({}), KEY: 'form/a.txt' })],
    [
      'a prefix that does not match',
      () => signedForm({ conditions: [['starts-with', '$key', 'other/']] }),
    ],
    ['a file that is too small', () => signedForm({}), 'abc'],
    ['a file that is too large', () => signedForm({}), 'a'.repeat(11)],
    ['a different bucket', () => signedForm({}), 'text', 'other'],
    ['a key outside the bucket', () => signedForm({ fields: { key: '../../evil.txt' } })],
    ['a key with a NUL', () => signedForm({ fields: { key: 'a\0b' } })],
  ])('is refused with %s', async (_, fields, file, bucket) => {
    await expectUntouched(async () => {
      const { status } = await postForm(fields(), file, bucket)
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(500)
    })
  })

  it('accepts a prefix for the field that it names', async () => {
    const form = signedForm({ conditions: [['starts-with', '$content-type', 'text/']] })
    expect((await postForm({ ...form, 'Content-Type': 'text/plain' })).status).toBe(204)
    expect((await postForm({ ...form, 'Content-Type': 'image/png' })).status).toBe(403)
  })
})
