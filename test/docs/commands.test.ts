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
} as const

const uploadSchema = z.object({
  uploadUrl: z.url(),
  headers: z.record(z.string(), z.string()),
  key: z.string(),
})

let presigner: Presigner
let key: string
beforeAll(async () => {
  presigner = await startPresigner()
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
  await post('/files', upload)
  key = upload.key
})
afterAll(() => presigner.close())

describe.each(Object.entries(PAGES))('%s', async (page, expected) => {
  const leftOut = await withoutCurl()

  it('has only commands that run here', () => {
    const commands = codeBlocks(readPage(page)).filter(({ language }) => language === 'sh')
    expect(commands.map(({ mark }) => mark)).toEqual(Object.keys(expected))
  })

  it.skipIf(leftOut).each(Object.entries(expected))('answers %s', async (mark, answer) => {
    const command = presigner.here(markedBlock(page, mark))
    const printed = await runShell(command, { KEY: encodeURIComponent(key) })
    expect(JSON.parse(printed)).toMatchObject(answer)
  })
})
