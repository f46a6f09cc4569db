import { Hono } from 'hono'
import { expect, it } from 'vitest'
import { mount } from '../../support/mount.ts'
import { testWorker } from '../../support/worker.ts'

const APP = 'https://app.example'
const worker = testWorker({ CORS_ORIGINS: [APP] })

it('redirects a path with a second slash, for Uppy 6 with a trailing slash in its endpoint', async () => {
  for (const [path, target] of [
    ['//s3/params?filename=a%20b', '/s3/params?filename=a%20b'],
    ['/u/ept_x//s3/multipart', '/u/ept_x/s3/multipart'],
    ['//s3/multipart/id/1?key=//s3/x', '/s3/multipart/id/1?key=//s3/x'],
  ] as const) {
    const url = `http://localhost:8787${path}`
    const response = await worker.fetch(url, { redirect: 'manual', headers: { Origin: APP } })
    expect.soft(response.status, path).toBe(308)
    expect.soft(response.headers.get('Location'), path).toBe(target)
    expect.soft(response.headers.get('Access-Control-Allow-Origin'), path).toBe(APP)
    expect.soft(response.headers.get('Cache-Control'), path).toBe('no-store')
  }
})

it('keeps the mount path', async () => {
  const app = mount({ host: new Hono() })
  const response = await app.fetch('/media//s3/params?filename=a')
  expect(response.status).toBe(308)
  expect(response.headers.get('Location')).toBe('/media/s3/params?filename=a')
})

it('redirects no other path', async () => {
  for (const path of [
    '/s3/params/?filename=a',
    '///s3/params?filename=a',
    '//files',
    '//evil.example/s3/params',
    '//evil.example//s3/params',
    '/u/ept_x///s3/params',
  ]) {
    const response = await worker.fetch(`http://localhost:8787${path}`)
    expect.soft([401, 404], path).toContain(response.status)
  }
})
