import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { codeBlocks, readPage } from './support/markdown.ts'
import {
  ADMIN_KEY,
  NOTIFICATION_SECRET,
  type Presigner,
  startPresigner,
} from './support/presigner.ts'
import { runShell, withoutCurl } from './support/shell.ts'

const CONTENT = 'not really a picture'
const EXAMPLES = 'tools/dev/openapi/examples.md'
/** Headers of the connection, which no handler sets. */
const OF_CONNECTION = ['connection', 'content-length', 'date', 'keep-alive', 'transfer-encoding']

/** The text of each route's section, by its title. */
const TEXTS = new Map(
  readPage(EXAMPLES)
    .split(/^## /m)
    .filter((section) => /^[A-Z]+ \//.test(section))
    .map((section) => [section.split('\n', 1).join(), section]),
)

/**
 * The sections of routes: the title, the command, and the first response shown, as a body or
 * headers, or that of the section which `<!-- answer: TITLE -->` names.
 */
const SECTIONS = Array.from(TEXTS, ([title, section]) => {
  const first = (text: string, language: string) =>
    codeBlocks(text).find((block) => block.language === language)?.code
  const [, same = title] = /^<!-- answer: (.+) -->$/m.exec(section) ?? []
  const shown = TEXTS.get(same)
  if (shown === undefined) throw new Error(`${EXAMPLES} has no section ${same}.`)
  return {
    title,
    command: first(section, 'sh'),
    answer: first(shown, 'json'),
    headers: first(shown, 'http'),
  }
})

const uploadSchema = z.object({
  uploadUrl: z.string(),
  key: z.string(),
  headers: z.record(z.string(), z.string()),
})

const startedSchema = z.object({ key: z.string(), uploadId: z.string() })

/** The ETag of the first part in the examples. */
const SHOWN_ETAG = '9dd4e461268c8034f5c8564e155c67a6'
const ETAG = createHash('md5').update(CONTENT).digest('hex')

const linkSchema = z.object({ link: z.string() })
const tokenSchema = z.object({ token: z.string() })
const grantSchema = z.object({ id: z.string(), url: z.string() })
const folderSchema = z.object({ base: z.string() })

let presigner: Presigner
let upload: z.infer<typeof uploadSchema>
let link: string
let base: string
beforeAll(async () => {
  presigner = await startPresigner({ withD1: true })
  upload = uploadSchema.parse(
    await post('/files/upload-url', { fileName: 'My Photo.JPG', mimetype: 'image/jpeg' }),
  )
  const answer = await post(`/files/${encodeURIComponent(upload.key)}/link`, {})
  link = linkSchema.parse(answer).link
  base = folderSchema.parse(await post('/links/folder', { prefix: 'uploads/' })).base
})
afterAll(() => presigner.close())

/** Uploads the object again, because one of the examples deletes it. */
beforeEach(async () => {
  await fetch(upload.uploadUrl, { method: 'PUT', headers: upload.headers, body: CONTENT })
})

async function post(
  path: string,
  body: object,
  more: object = {},
  origin = presigner.origin,
): Promise<unknown> {
  const headers = { 'Content-Type': 'application/json', ...more }
  const init = { method: 'POST', headers, body: JSON.stringify(body) }
  return (await fetch(origin + path, init)).json()
}

/** An upload whose only part is uploaded. */
async function startMultipart(): Promise<z.infer<typeof startedSchema>> {
  const file = { fileName: 'Film.mp4', mimetype: 'video/mp4', size: CONTENT.length }
  const started = startedSchema.parse(await post('/multipart', file))
  const { key, uploadId } = started
  const [url = ''] = urlsIn(await post(`/multipart/${uploadId}/urls`, { key, partNumbers: [1] }))
  await fetch(url, { method: 'PUT', body: CONTENT })
  return started
}

/** The values of the example's variables. */
async function variables(title: string): Promise<Record<string, string>> {
  if (title.startsWith('PATCH /files/')) await post('/files', { key: upload.key, name: 'a' })
  if (title.includes('/notifications')) {
    await presigner.age()
    const KEY = encodeURIComponent(upload.key)
    return { KEY, BUCKET: presigner.bucket, NOTIFICATION_SECRET }
  }
  if (/ \/(?:grants|g\/)/.test(title)) return grantVariables()
  if (/ \/(?:drop-boxes|d\/)/.test(title)) return boxVariables()
  if (/ \/(?:index$|upkeep)/.test(title)) return indexVariables()
  if (!title.includes('/multipart/')) return { KEY: upload.key, LINK: link, BASE: base }
  const { key, uploadId } = await startMultipart()
  return { KEY: key, UPLOAD: uploadId }
}

async function indexVariables(): Promise<Record<string, string>> {
  const asked = { fileName: 'b.txt', mimetype: 'text/plain' }
  let KEY = ''
  // A page of one of them has a cursor.
  for (let i = 0; i < 2; i++) {
    const { key, uploadUrl, headers } = uploadSchema.parse(await post('/files/upload-url', asked))
    await fetch(uploadUrl, { method: 'PUT', headers, body: CONTENT })
    await post('/files', { key })
    KEY = key
  }
  return { KEY, ADMIN_KEY }
}

async function grantVariables(): Promise<Record<string, string>> {
  const DEADLINE = new Date(Date.now() + 86_400_000).toISOString()
  const body = { key: upload.key, deadline: DEADLINE }
  // A list of one of them has a cursor.
  await post('/grants', body)
  const { id, url } = grantSchema.parse(await post('/grants', body))
  return { KEY: upload.key, DEADLINE, ID: id, GRANT: url }
}

async function boxVariables(): Promise<Record<string, string>> {
  const DEADLINE = new Date(Date.now() + 86_400_000).toISOString()
  const limits = { maxFiles: 10, maxBytes: 1000, maxTotalBytes: 10_000, allowedTypes: ['image/*'] }
  const texts = { from: 'Example GmbH', title: 'Your documents' }
  const body = { prefix: 'inbox/', deadline: DEADLINE, ...limits, ...texts }
  // A list of one of them has a cursor.
  await post('/drop-boxes', body)
  const { id, url } = grantSchema.parse(await post('/drop-boxes', body))
  const sender = { name: 'Ann', note: 'Both pages' }
  const { token } = tokenSchema.parse(await post(`${new URL(url).pathname}/token`, { sender }))
  const Authorization = `Bearer ${token}`
  for (let i = 0; i < 2; i++) {
    const file = { fileName: 'Passport.jpg', mimetype: 'image/jpeg', size: CONTENT.length }
    const { key, uploadId } = startedSchema.parse(await post('/multipart', file, { Authorization }))
    const path = `/multipart/${uploadId}`
    const signed = await post(`${path}/urls`, { key, partNumbers: [1] }, { Authorization })
    const [part] = z.object({ urls: z.array(z.object({ url: z.string() })) }).parse(signed).urls
    await fetch(part?.url ?? '', { method: 'PUT', body: CONTENT })
    await post(
      `${path}/complete`,
      { key, name: file.fileName, parts: [{ partNumber: 1, etag: ETAG }] },
      { Authorization },
    )
  }
  return { DEADLINE, ID: id, BOX: url }
}

/** Runs the example for totals, which Workers KV doesn't have, at a presigner with a D1 database. */
async function statsIn(command: string): Promise<unknown> {
  const withD1 = await startPresigner({ withD1: true })
  try {
    const asked = { fileName: 'My Photo.JPG', mimetype: 'image/jpeg' }
    const { key, uploadUrl, headers } = uploadSchema.parse(
      await post('/files/upload-url', asked, {}, withD1.origin),
    )
    await fetch(uploadUrl, { method: 'PUT', headers, body: CONTENT })
    await post('/files', { key }, {}, withD1.origin)
    return JSON.parse(await runShell(withD1.here(command), {}))
  } finally {
    await withD1.close()
  }
}

const pluginsSchema = z.object({ plugins: z.array(z.string()) })

/** Returns the structure of `value`, without its leaf values. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape)
  if (typeof value !== 'object' || value === null) return true
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shape(member)]))
}

/** Returns every URL of an object in `value`. */
function urlsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) =>
    ['url', 'link'].includes(name) && typeof member === 'string' ? [member] : urlsIn(member),
  )
}

/** Returns the status and the header names of a response as curl prints it. */
function head(text: string): { status: string | undefined; names: string[] } {
  const [statusLine, ...lines] = text.trim().split(/\r?\n/)
  const names = lines.map((line) => line.split(':', 1).join().toLowerCase())
  return {
    status: statusLine?.split(' ')[1],
    names: names.filter((name) => !OF_CONNECTION.includes(name)).toSorted(),
  }
}

describe('the example of', async () => {
  const leftOut = await withoutCurl()

  it.skipIf(leftOut).each(SECTIONS)(
    '$title returns what it shows, with URLs that lead to the object',
    async ({ title, command, answer, headers }) => {
      if (command === undefined) throw new Error('This section has no example.')
      if (title === 'GET /stats')
        return expect(shape(await statsIn(command))).toEqual(shape(JSON.parse(answer ?? '')))
      const here = presigner.here(command).replaceAll(SHOWN_ETAG, ETAG)
      const printed = await runShell(here, await variables(title))
      if (headers !== undefined) return expect(head(printed)).toEqual(head(headers))
      if (answer === undefined) return expect(printed).toBe('')
      const got: unknown = JSON.parse(printed)
      const shown: unknown = JSON.parse(answer)
      if (title === 'GET /limits') {
        // The page shows the plugins of a new project, and this Worker has all.
        const [all, some] = [got, shown].map((value) => pluginsSchema.parse(value).plugins)
        expect(all).toEqual(expect.arrayContaining(some ?? []))
        Object.assign(Object(got), { plugins: some })
      }
      expect(shape(got)).toEqual(shape(shown))
      expect(urlsIn(got)).toHaveLength(urlsIn(shown).length)
      // A part has nothing yet, and grants and drop boxes have pages.
      if (/^POST \/multipart\/|\/grants|\/drop-boxes/.test(title)) return
      for (const url of urlsIn(got)) expect(await (await fetch(url)).text()).toBe(CONTENT)
    },
  )

  it('includes examples with URLs', () => {
    const shown = SECTIONS.flatMap(({ answer }) => (answer ? urlsIn(JSON.parse(answer)) : []))
    expect(shown.length).toBeGreaterThan(4)
  })
})
