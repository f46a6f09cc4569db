import { describe, expect, it } from 'vitest'
import { linkTo, open, putObject, requestsFor, textOf } from '../../support/links.ts'

const DIGITS = '0123456789'

const ranged = async (link: string, range: string, headers: Record<string, string> = {}) => {
  const response = await open(link, { Range: range, ...headers })
  return {
    status: response.status,
    body: await textOf(response),
    contentRange: response.headers.get('Content-Range'),
    length: response.headers.get('Content-Length'),
  }
}

/** The same requests, once without a copy and once with one. */
describe.each([
  ['a miss', false],
  ['a hit', true],
])('on %s', (_, hit) => {
  const linkToDigits = async () => {
    const { link } = await linkTo(await putObject('digits.txt', DIGITS, 'text/plain'))
    if (hit) expect(await textOf(await open(link))).toBe(DIGITS)
    return link
  }

  it.each([
    ['bytes=0-', 206, DIGITS, 'bytes 0-9/10'],
    ['bytes=0-99', 206, DIGITS, 'bytes 0-9/10'],
    ['bytes=0-0', 206, '0', 'bytes 0-0/10'],
    ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
    ['BYTES=2-4', 206, '234', 'bytes 2-4/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-99', 206, DIGITS, 'bytes 0-9/10'],
    ['bytes=10-', 416, '', 'bytes */10'],
    ['bytes=99-100', 416, '', 'bytes */10'],
    ['bytes=4-2', 200, DIGITS, null],
    ['bytes=0-1,4-5', 200, DIGITS, null],
    ['items=0-1', 200, DIGITS, null],
  ])('%s is answered with %d', async (range, status, body, contentRange) => {
    const answer = await ranged(await linkToDigits(), range)
    expect(answer).toEqual({
      status,
      body,
      // The bucket answers, and s3rver does not send the size in its 416.
      contentRange: status === 416 ? null : contentRange,
      length: status === 416 ? answer.length : String(body.length),
    })
  })

  it('conditions take precedence over the range', async () => {
    const link = await linkToDigits()
    const { headers } = await open(link, {}, 'HEAD')
    const etag = headers.get('ETag') ?? ''
    const modified = headers.get('Last-Modified') ?? ''
    expect((await ranged(link, 'bytes=0-1', { 'If-None-Match': etag })).status).toBe(304)
    expect((await ranged(link, 'bytes=99-', { 'If-None-Match': etag })).status).toBe(304)
    expect((await ranged(link, 'bytes=0-1', { 'If-Range': etag })).status).toBe(206)
    expect((await ranged(link, 'bytes=0-1', { 'If-Range': modified })).status).toBe(206)
    expect((await ranged(link, 'bytes=0-1', { 'If-Range': '"old"' })).status).toBe(200)
    expect((await ranged(link, 'bytes=99-', { 'If-Range': '"old"' })).status).toBe(200)
  })

  it('a copy that the browser already has is not sent again', async () => {
    const link = await linkToDigits()
    const { headers } = await open(link, {}, 'HEAD')
    const etag = headers.get('ETag') ?? ''
    const notModified = await open(link, { 'If-None-Match': etag })
    expect(notModified.status).toBe(304)
    expect(await textOf(notModified)).toBe('')
    expect(notModified.headers.get('ETag')).toBe(etag)
    expect(notModified.headers.get('Content-Length')).toBeNull()
    expect(notModified.headers.get('Cache-Control')).toMatch(/^private, max-age=\d+$/)
    const modified = headers.get('Last-Modified') ?? ''
    expect((await open(link, { 'If-Modified-Since': modified })).status).toBe(304)
    expect((await open(link, { 'If-Match': '"other"' })).status).toBe(412)
    expect((await open(link, { 'If-None-Match': '"other"' })).status).toBe(200)
  })

  it('HEAD has the same headers as GET, without the body', async () => {
    const link = await linkToDigits()
    const head = await open(link, {}, 'HEAD')
    expect(head.status).toBe(200)
    expect(await textOf(head)).toBe('')
    const get = await open(link)
    await textOf(get)
    for (const name of ['Content-Length', 'Content-Type', 'ETag', 'Last-Modified', 'Accept-Ranges'])
      expect(head.headers.get(name), name).toBe(get.headers.get(name))
  })
})

it('caches a small object after a range request', async () => {
  const key = await putObject('small.bin', DIGITS)
  const { link } = await linkTo(key)
  expect((await ranged(link, 'bytes=2-4')).body).toBe('234')
  const asked = await requestsFor(key)
  expect(asked).toBe(2)
  expect((await ranged(link, 'bytes=5-6')).body).toBe('56')
  expect(await textOf(await open(link))).toBe(DIGITS)
  expect(await requestsFor(key)).toBe(asked)
})

it('caches an object after the open range that a video player starts with', async () => {
  const key = await putObject('video.mp4', DIGITS, 'video/mp4')
  const { link } = await linkTo(key)
  expect((await ranged(link, 'bytes=0-')).status).toBe(206)
  expect((await ranged(link, 'bytes=5-')).body).toBe('56789')
  expect(await requestsFor(key)).toBe(1)
})

it('passes on a range of an object that is too large for a copy', async () => {
  const megabyte = 1024 ** 2
  const body = new Uint8Array(9 * megabyte)
  body[8 * megabyte] = 65
  const key = await putObject('large.mp4', body, 'video/mp4')
  const { link } = await linkTo(key)
  for (const asked of [1, 2]) {
    const first = 8 * megabyte
    const part = await ranged(link, `bytes=${first}-${first}`)
    expect(part).toEqual({
      status: 206,
      body: 'A',
      contentRange: `bytes ${first}-${first}/${9 * megabyte}`,
      length: '1',
    })
    expect(await requestsFor(key)).toBe(asked)
  }
})

it('serves an empty object', async () => {
  const { link } = await linkTo(await putObject('empty.txt', '', 'text/plain'))
  for (let i = 0; i < 2; i++) {
    const response = await open(link)
    expect(response.status).toBe(200)
    expect(response.headers.get('Content-Length')).toBe('0')
    expect(await textOf(response)).toBe('')
  }
})
