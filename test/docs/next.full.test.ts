import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { type NodeServer, startNodeServer } from '../e2e/package/node-server.ts'
import { exec, install } from '../e2e/package/packed.ts'
import { shared } from '../e2e/shared.ts'
import { markedBlock } from './support/markdown.ts'

const FRIEND = 'https://friend.example'
const NEXT = 'node_modules/next/dist/bin/next'
/** The login, which the page leaves to its readers. */
const SESSION = `
export const currentUser = async ({ headers }) => {
  const id = headers.get('X-Test-User')
  return id === null ? null : { id }
}
`

const stack = new AsyncDisposableStack()
let server: NodeServer
const ask = (path: string, { headers, ...init }: RequestInit = {}) =>
  fetch(new URL(path, server.origin), { ...init, headers: { 'X-Test-User': 'ann', ...headers } })
const post = async (path: string, body: object): Promise<unknown> => {
  const headers = { 'Content-Type': 'application/json' }
  return (await ask(path, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const s3 = await startS3rver({ port: 0, directory: join(directory, 's3'), corsOrigins: [FRIEND] })
  stack.defer(() => s3.close())
  const app = join(directory, 'app')
  const packages = ['package.json', 'package-lock.json']
  await Promise.all(
    packages.map((name) => cp(join(import.meta.dirname, 'next', name), join(app, name))),
  )
  await install(app, await shared('tarball', 'edge-presigner'))
  const route = stripTypeScriptTypes(markedBlock('docs/recipes/from-better-upload.md', 'server'))
    .replace('my-bucket-name', s3.bucket)
    .replace('./session.ts', './session.js')
    .replace('signingSecrets:', `corsOrigins: ['${FRIEND}'],\n  signingSecrets:`)
  const folder = join(app, 'app/api/upload/[[...path]]')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'route.js'), route)
  await writeFile(join(folder, 'session.js'), SESSION)
  await exec(app, process.execPath, NEXT, 'build')
  const port = `${await freePort()}`
  const variables = {
    S3_ENDPOINT: s3.endpoint,
    S3_REGION: s3.region,
    S3_ACCESS_KEY_ID: s3.accessKeyId,
    S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    SIGNING_SECRETS: `k1:${'0123456789abcdef'.repeat(2)}`,
    LINK_BASE: `http://localhost:${port}/api/upload`,
  }
  server = stack.use(await startNodeServer(app, variables, [NEXT, 'start', '-p', port]))
})
afterAll(() => stack.disposeAsync())

it('Next.js passes every method on, and leaves preflights to the presigner', async () => {
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    const { status, headers } = await ask('/api/upload/healthz', { method })
    const isRead = method === 'GET' || method === 'HEAD'
    expect([method, status]).toEqual([method, isRead ? 200 : 404])
    expect(headers.has('X-Request-Id')).toBe(true)
  }
  const preflight = await ask('/api/upload/files/upload-url', {
    method: 'OPTIONS',
    headers: { Origin: FRIEND, 'Access-Control-Request-Method': 'POST' },
  })
  expect(preflight.status).toBe(204)
  expect(preflight.headers.get('Access-Control-Allow-Origin')).toBe(FRIEND)
})

it('a Next.js app signs, records and delivers below its base path', async () => {
  const { uploadUrl, key } = z
    .object({ uploadUrl: z.string(), key: z.string().check(z.startsWith('users/ann/')) })
    .parse(
      await post('/api/upload/files/upload-url', {
        ...{ bucket: 'images', fileName: 'a.png', mimetype: 'image/png', size: 6 },
      }),
    )
  const headers = { 'Content-Type': 'image/png' }
  await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels' })
  expect(await post('/api/upload/files', { key, bucket: 'images' })).toMatchObject({ size: 6 })
  const path = `/api/upload/files/${encodeURIComponent(key)}/link?bucket=images`
  const { link } = z.object({ link: z.string() }).parse(await post(path, {}))
  expect(await (await fetch(link)).text()).toBe('pixels')
})
