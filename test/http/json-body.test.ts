import { expect, it } from 'vitest'
import { readJson } from '../../src/http/validate.ts'

const request = (body: BodyInit, type = 'application/json', headers: Record<string, string> = {}) =>
  new Request('https://presigner.example/', {
    method: 'POST',
    headers: { 'Content-Type': type, ...headers },
    body,
  })

/** A body that delivers chunks up to `total` bytes, and counts the bytes that were read. */
function countedBody(total: number, chunk: number) {
  const taken = { bytes: 0, cancelled: false }
  const stream = new ReadableStream({
    type: 'bytes',
    pull(controller) {
      if (taken.bytes >= total) return controller.close()
      taken.bytes += chunk
      controller.enqueue(new Uint8Array(chunk).fill(0x20))
    },
    cancel() {
      taken.cancelled = true
    },
  })
  return { stream, taken }
}

it('reads JSON of every kind, in chunks or whole', async () => {
  expect(await readJson(request('{"a": [1, "é😀"]}'), 100)).toEqual({ a: [1, 'é😀'] })
  expect(await readJson(request('\ufeff1', 'Application/JSON; charset=utf-8'), 100)).toBe(1)
})

it('counts bytes, not characters', async () => {
  expect(await readJson(request('"éé"'), 6)).toBe('éé')
  await expect(readJson(request('"éé"'), 5)).rejects.toMatchObject({ code: 'body_too_large' })
})

// @threat body-hostile
it('reads a body over the limit to its end, but stops after 16 MiB', async () => {
  const MIB = 1024 ** 2
  for (const [size, read] of [
    [10, 10],
    [64, 17],
  ] as const) {
    const { stream, taken } = countedBody(size * MIB, MIB)
    await expect(readJson(request(stream), 65_536)).rejects.toMatchObject({
      code: 'body_too_large',
    })
    expect(taken.bytes / MIB).toBeLessThanOrEqual(read + 1)
    expect(taken.bytes / MIB).toBeGreaterThanOrEqual(read)
    expect(taken.cancelled).toBe(read < size)
  }
})

// @threat body-hostile
it('refuses a body over the limit, whatever its Content-Length says', async () => {
  for (const length of ['2', '100', '101', '1e9']) {
    const stated = request(`"${'a'.repeat(99)}"`, 'application/json', { 'Content-Length': length })
    await expect(readJson(stated, 100), length).rejects.toMatchObject({ code: 'body_too_large' })
  }
})

// @threat body-hostile
it.each(['-1', '-5', '-1e9', '0.5', 'abc', 'NaN', '', '1e9', 'Infinity'])(
  'reads a whole body whose Content-Length says %j',
  async (length) => {
    const stated = request('{"a":1}', 'application/json', { 'Content-Length': length })
    expect(await readJson(stated, 100)).toEqual({ a: 1 })
  },
)

it.each(['', '{', '{"a":1,}', "{'a':1}", 'undefined', '[1', '{"a":1} x'])(
  'refuses %j as malformed',
  async (body) => {
    await expect(readJson(request(body), 100)).rejects.toMatchObject({ code: 'malformed_json' })
  },
)

it('refuses bytes that are not UTF-8, without an effect on the next body', async () => {
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc3],
  ]) {
    const body = new Uint8Array(bytes)
    await expect(readJson(request(body), 100)).rejects.toMatchObject({ code: 'malformed_json' })
    expect(await readJson(request('\ufeff"é"'), 100)).toBe('é')
  }
})

it('refuses a body without the media type of JSON', async () => {
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'text/json',
    '',
  ])
    await expect(readJson(request('{}', type), 100), type).rejects.toMatchObject({
      code: 'unsupported_media_type',
    })
})

it.each([
  ['with a length', { 'Content-Length': '100' }],
  ['without one', {}],
])('blames the client that leaves in the middle of a body %s', async (_, headers) => {
  for (const reason of [new Error('Network connection lost.'), new TypeError('terminated')]) {
    const left = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('{"a":')),
      pull: (controller) => controller.error(reason),
    })
    await expect(readJson(request(left, 'application/json', headers), 1000)).rejects.toMatchObject({
      code: 'invalid_request',
      message: 'The request ended in the middle of its body.',
      cause: reason,
    })
  }
})
