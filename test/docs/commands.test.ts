import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { codeBlocks, markedBlock, readPage } from './support/markdown.ts'
import { type Presigner, startPresigner } from './support/presigner.ts'
import { runShell, withoutCurl } from './support/shell.ts'

/* The commands of pages for a task, and what their responses contain. */

const PAGES = {
  'docs/pictures.md': {
    link: { link: expect.stringContaining('/i/files/'), expiresAt: expect.any(String) },
    folder: { base: expect.stringMatching(/\/f\/.*\/videos\/intro\/$/) },
    'save-as': { url: expect.stringContaining('photo.jpg'), expiresIn: 172_800 },
    purge: { purged: [{ key: expect.stringContaining('photo') }] },
  },
  'docs/files.md': {
    list: { files: [{ name: 'Photo.jpg', url: expect.stringContaining('X-Amz-Signature') }] },
    search: { files: [{ name: 'Photo.jpg' }] },
    stats: { count: 1, bytes: 6, groups: [{ value: 'image/jpeg', count: 1, bytes: 6 }] },
    rename: { name: 'Holiday.jpg', key: expect.stringContaining('photo') },
    copy: { name: 'Holiday.jpg', key: 'albums/cover.jpg' },
    delete: null,
    'delete-many': { deleted: [{}, { key: '../secret', error: { code: 'invalid_key' } }] },
    export: { records: 0 },
    objects: { objects: [] },
  },
} as const

const uploadSchema = z.object({
  uploadUrl: z.url(),
  headers: z.record(z.string(), z.string()),
  key: z.string(),
})

let presigner: Presigner
let key: string
beforeAll(async () => {
  presigner = await startPresigner({ withD1: true })
  const post = async (path: string, body: object): Promise<unknown> => {
    const headers = { 'Content-Type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify(body) }
    return (await fetch(presigner.origin + path, init)).json()
  }
  const file = { fileName: 'photo.jpg', mimetype: 'image/jpeg' }
  const { uploadUrl, headers, ...upload } = uploadSchema.parse(
    await post('/files/upload-url', file),
  )
  await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels' })
  await post('/files', { ...upload, name: 'Photo.jpg' })
  key = upload.key
})
afterAll(() => presigner.close())

describe.each(Object.entries(PAGES))('%s', async (page, expected) => {
  const leftOut = await withoutCurl()

  it('has only commands that run here', () => {
    // `npx edge-presigner export` and `delete-all`: test/e2e/user-data-commands.test.ts.
    const commands = codeBlocks(readPage(page)).filter(
      ({ language, code }) => language === 'sh' && !code.startsWith('npx '),
    )
    expect(commands.map(({ mark }) => mark)).toEqual(Object.keys(expected))
  })

  it.skipIf(leftOut).each(Object.entries(expected))('answers %s', async (mark, answer) => {
    const command = presigner.here(markedBlock(page, mark))
    const inPath = /\/files\/\$KEY/.test(command)
    const printed = await runShell(command, { KEY: inPath ? encodeURIComponent(key) : key })
    const last = printed.trim().split('\n').at(-1) ?? ''
    if (answer === null) expect(last).toBe('')
    else expect(JSON.parse(last)).toMatchObject(answer)
  })
})
