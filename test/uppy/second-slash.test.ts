import { Hono } from 'hono'
import { expect, it } from 'vitest'
import { mount } from '../support/mount.ts'
import { testWorker } from '../support/worker.ts'

const APP = 'https://app.example'
const worker = testWorker({ CORS_ORIGINS: [APP] })

it.each([
  ['//s3/params?filename=a%20b', '/s3/params?filename=a%20b'],
  ['/u/ept_x//s3/multipart', '/u/ept_x/s3/multipart'],
  ['//s3/multipart/id/1?key=//s3/x', '/s3/multipart/id/1?key=//s3/x'],
])('redirects %s to %s, for Uppy 6 with a trailing slash in its endpoint', async (path, target) => {
  const url = `http://localhost:8787${path}`
  const response = await worker.fetch(url, { redirect: 'manual', headers: { Origin: APP } })
  expect(response.status).toBe(308)
  expect(response.headers.get('Location')).toBe(target)
  expect(response.headers.get('Access-Control-Allow-Origin')).toBe(APP)
  expect(response.headers.get('Cache-Control')).toBe('no-store')
})

it('keeps the mount path', async () => {
  const app = mount({ host: new Hono() })
  const response = await app.fetch('/media//s3/params?filename=a')
  expect(response.status).toBe(308)
  expect(response.headers.get('Location')).toBe('/media/s3/params?filename=a')
})

it.each([
  '/s3/params/?filename=a',
  '///s3/params?filename=a',
  '//files',
  '//evil.example/s3/params',
  '//evil.example//s3/params',
  '/u/ept_x///s3/params',
])('does not redirect %s', async (path) => {
  const response = await worker.fetch(`http://localhost:8787${path}`)
  expect([401, 404]).toContain(response.status)
})
