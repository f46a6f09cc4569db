import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../../src/keys/object-key.ts'
import { deleteObjects } from '../../src/storage/delete-objects.ts'
import { mayHaveHappened } from '../../src/storage/storage-failure.ts'
import { childrenOf, escapeXml, readXml, textOf } from '../../src/storage/xml.ts'
import { runs } from '../support/fuzz.ts'
import { hostileText } from '../support/hostile.ts'
import {
  answer,
  operations,
  type Sent,
  s3Error,
  scriptedBucket,
} from '../support/scripted-bucket.ts'
import { authorizationError } from '../support/sigv4-authorization.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const keysOf = (...names: string[]) => names.map(parseObjectKey)
const [A, B, C] = keysOf('a.txt', 'b.txt', 'c.txt') as [ObjectKey, ObjectKey, ObjectKey]

const remove = (keys: readonly ObjectKey[], bucket = testBucket()) =>
  deleteObjects(bucket, keys, NOW)

/** Returns the codes and messages of the failures by key; null for a deleted key. */
const outcome = async (keys: readonly ObjectKey[], bucket = testBucket()) =>
  Object.fromEntries(
    [...(await remove(keys, bucket))].map(([key, error]) => [key, error?.message ?? null]),
  )

const deletedXml = (key: string) => `<Deleted><Key>${escapeXml(key)}</Key></Deleted>`
const errorXml = (key: string, code: string) =>
  `<Error><Key>${escapeXml(key)}</Key><Code>${code}</Code><Message>m</Message></Error>`
const resultXml = (...entries: string[]) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${entries.join('')}</DeleteResult>`
const result = (...entries: string[]) => answer(200, resultXml(...entries))

/** Returns the keys that a DeleteObjects request names. */
function keysIn({ body }: Sent): (string | null)[] {
  const root = readXml(body)
  if (root?.name !== 'Delete') throw new Error('The body is not a Delete document.')
  return childrenOf(root, 'Object').map((object) => textOf(object, 'Key'))
}

afterEach(() => vi.unstubAllGlobals())

describe('deleteObjects', () => {
  it('deletes many objects with one signed request to the bucket', async () => {
    const sent = scriptedBucket({ DeleteObjects: result(deletedXml(A), deletedXml(B)) })
    expect(await outcome([A, B])).toEqual({ [A]: null, [B]: null })
    expect(sent).toHaveLength(1)
    const [one] = sent
    if (one === undefined) throw new Error('Nothing was sent.')
    expect(one.url).toBe('https://examplebucket.s3.amazonaws.com/?delete=')
    expect(authorizationError(one, { ...EXAMPLE_CREDENTIALS, region: 'us-east-1', now: NOW })).toBe(
      null,
    )
    expect(keysIn(one)).toEqual([A, B])
    expect(one.body).not.toContain('Quiet')
  })

  it('sends a checksum of the body, which S3 requires: MD5 on Workers, elsewhere SHA-256', async () => {
    const sent = scriptedBucket({ DeleteObjects: result(deletedXml(A), deletedXml(B)) })
    await remove([A, B])
    const { headers, body } = sent[0] ?? { headers: new Headers(), body: '' }
    const [name, algorithm] =
      navigator.userAgent === 'Cloudflare-Workers'
        ? (['Content-MD5', 'md5'] as const)
        : (['x-amz-checksum-sha256', 'sha256'] as const)
    const digest = createHash(algorithm).update(body).digest('hex')
    expect(Uint8Array.from(atob(headers.get(name) ?? ''), (c) => c.charCodeAt(0))).toEqual(
      Uint8Array.from(digest.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)),
    )
    const others = ['Content-MD5', 'x-amz-checksum-sha256'].filter((other) => headers.has(other))
    expect(others).toEqual([name])
  })

  it('deletes a single object with DeleteObject', async () => {
    const sent = scriptedBucket({ DeleteObject: answer(204) })
    expect(await outcome([A])).toEqual({ [A]: null })
    expect(operations(sent)).toEqual(['DeleteObject'])
  })

  it('reports each failure in a response with status 200', async () => {
    scriptedBucket({
      DeleteObjects: result(
        deletedXml(A),
        errorXml(B, 'AccessDenied'),
        errorXml(C, 'InternalError'),
      ),
    })
    const failures = await remove([A, B, C])
    expect(failures.get(A)).toBeNull()
    expect(failures.get(B)).toMatchObject({
      code: 'storage_error',
      message: 'The bucket answered DeleteObjects with AccessDenied.',
    })
    expect(failures.get(C)).toMatchObject({ code: 'storage_error' })
    expect(mayHaveHappened(failures.get(B))).toBe(false)
    expect(mayHaveHappened(failures.get(C))).toBe(true)
  })

  it('reports unavailable for a key with SlowDown', async () => {
    scriptedBucket({ DeleteObjects: result(deletedXml(A), errorXml(B, 'SlowDown')) })
    expect((await remove([A, B])).get(B)).toMatchObject({
      code: 'unavailable',
      reason: 'storage',
      retryAfterSeconds: 5,
    })
  })

  it('counts a missing object as deleted', async () => {
    scriptedBucket({ DeleteObjects: result(deletedXml(A), errorXml(B, 'NoSuchKey')) })
    expect(await outcome([A, B])).toEqual({ [A]: null, [B]: null })
  })

  // @threat delete-unconfirmed
  it.each([
    ['does not name', [deletedXml(A)]],
    ['names in another spelling', [deletedXml(A), deletedXml('B.txt')]],
    ['names without text', [deletedXml(A), '<Deleted><Key/></Deleted>', '<Deleted/>']],
    [
      'names as deleted and as failed',
      [deletedXml(A), deletedXml(B), errorXml(B, 'InternalError')],
    ],
    ['names with a code that is not one', [deletedXml(A), errorXml(B, 'secret value')]],
    ['names too deep', [deletedXml(A), `<Deleted>${deletedXml(B)}</Deleted>`]],
  ])('counts a key as failed that the response %s', async (_, entries) => {
    scriptedBucket({ DeleteObjects: result(...entries) })
    const failures = await remove([A, B])
    expect(failures.get(A)).toBeNull()
    expect(failures.get(B)).toMatchObject({ code: 'storage_error' })
    expect(failures.get(B)?.message).not.toContain('secret value')
  })

  // @threat delete-unconfirmed
  it.each([
    ['a page', answer(200, '<html>Sign in</html>')],
    ['a page that contains a result', answer(200, `<html>${resultXml(deletedXml(A))}</html>`)],
    ['nothing', answer(200)],
    ['an error', s3Error(200, 'InternalError')],
    ['a result with another status', answer(203, resultXml(deletedXml(A), deletedXml(B)))],
    ['a redirect', answer(307, null, { Location: 'https://other.example/' })],
    ['a refusal', s3Error(403, 'AccessDenied')],
    ['no such bucket', s3Error(404, 'NoSuchBucket')],
    ['a server error', answer(500)],
  ])('counts all keys as failed after %s, and tries nothing else', async (_, response) => {
    const sent = scriptedBucket({ DeleteObjects: response, DeleteObject: answer(204) })
    const failures = await remove([A, B])
    expect(failures.get(A)).toMatchObject({ code: 'storage_error' })
    expect(failures.get(B)).toMatchObject({ code: 'storage_error' })
    expect(operations(sent)).toEqual(['DeleteObjects'])
  })

  it.each([
    s3Error(501, 'NotImplemented'),
    s3Error(400, 'NotImplemented'),
    s3Error(400, 'InvalidArgument'),
    s3Error(400, 'MissingContentMD5'),
    s3Error(405, 'MethodNotAllowed'),
    answer(405, 'not XML'),
    answer(501),
  ])('deletes one by one where the server lacks DeleteObjects (%#)', async (refusal) => {
    const sent = scriptedBucket({ DeleteObjects: refusal, DeleteObject: answer(204) })
    const bucket = testBucket()
    expect(await outcome([A, B], bucket)).toEqual({ [A]: null, [B]: null })
    expect(await outcome([A, B], bucket)).toEqual({ [A]: null, [B]: null })
    // The second call knows that the server lacks it.
    expect(operations(sent)).toEqual(['DeleteObjects', ...Array(4).fill('DeleteObject')])
  })

  it('one by one, a failure of one key does not affect the others', async () => {
    scriptedBucket({
      DeleteObjects: s3Error(501, 'NotImplemented'),
      DeleteObject: ({ url }) => new Response(null, { status: url.endsWith('/b.txt') ? 403 : 204 }),
    })
    expect(await outcome([A, B, C])).toEqual({
      [A]: null,
      [B]: 'The bucket answered DeleteObject with status 403.',
      [C]: null,
    })
  })

  it('one by one, sends at most six requests at once', async () => {
    let [open, most] = [0, 0]
    scriptedBucket({
      DeleteObjects: s3Error(501, 'NotImplemented'),
      DeleteObject: async () => {
        open++
        most = Math.max(most, open)
        await new Promise((resolve) => setTimeout(resolve, 1))
        open--
        return new Response(null, { status: 204 })
      },
    })
    const keys = keysOf(...Array.from({ length: 40 }, (_, i) => `${i}.txt`))
    expect((await remove(keys)).size).toBe(40)
    expect(most).toBe(6)
  })

  // @threat delete-wrong-object
  it.each(['x\uFFFEy', 'x\uFFFFy', ' a', 'a ', '\u00a0a', 'a\ufeff'])(
    'deletes alone the key %j, which a server may read differently in XML',
    async (name) => {
      const [key] = keysOf(name) as [ObjectKey]
      const sent = scriptedBucket({
        DeleteObjects: result(deletedXml(A), deletedXml(B)),
        DeleteObject: answer(204),
      })
      expect(await outcome([A, key, B])).toEqual({ [A]: null, [B]: null, [key]: null })
      expect(operations(sent)).toEqual(['DeleteObjects', 'DeleteObject'])
      expect(sent[1]?.url).toBe(
        `https://examplebucket.s3.amazonaws.com/${encodeURIComponent(name)}`,
      )
    },
  )

  it('names every other key so that XML keeps it', async () => {
    const key = hostileText.filter((text) => objectKeyError(text) === null).map(parseObjectKey)
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(key, { minLength: 1, maxLength: 10 }), async (keys) => {
        const sent = scriptedBucket({
          DeleteObjects: (one) =>
            new Response(resultXml(...keysIn(one).map((k) => deletedXml(k ?? '')))),
          DeleteObject: answer(204),
        })
        const failures = await remove(keys)
        expect([...failures.keys()].toSorted()).toEqual([...keys].toSorted())
        expect([...failures.values()].every((failure) => failure === null)).toBe(true)
        const alone = sent.filter(({ operation }) => operation === 'DeleteObject')
        const together = sent.filter(({ operation }) => operation === 'DeleteObjects')
        expect(alone.length + together.flatMap(keysIn).length).toBe(keys.length)
      }),
      { numRuns: runs(200) },
    )
  })
})
