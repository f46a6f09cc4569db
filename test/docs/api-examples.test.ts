import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { codeBlocks, readPage } from './support/markdown.ts'
import { type Presigner, startPresigner } from './support/presigner.ts'
import { runShell, withoutCurl } from './support/shell.ts'

/** The sections of routes: title, the command, and the first answer that is shown. */
const SECTIONS = readPage('docs/api.md')
  .split(/^## /m)
  .filter((section) => /^[A-Z]+ \//.test(section))
  .map((section) => {
    const blocks = codeBlocks(section)
    const first = (language: string) => blocks.find((block) => block.language === language)?.code
    return { title: section.split('\n', 1).join(), command: first('sh'), answer: first('json') }
  })

const uploadSchema = z.object({
  uploadUrl: z.string(),
  key: z.string(),
  headers: z.record(z.string(), z.string()),
})

let presigner: Presigner
let key: string
beforeAll(async () => {
  presigner = await startPresigner()
  key = await uploadedKey()
})
afterAll(() => presigner.close())

/** Key of an object for `$KEY` in the examples. */
async function uploadedKey(): Promise<string> {
  const response = await fetch(`${presigner.origin}/files/upload-url`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ fileName: 'My Photo.JPG', mimetype: 'image/jpeg' }),
  })
  const { uploadUrl, key, headers } = uploadSchema.parse(await response.json())
  await fetch(uploadUrl, { method: 'PUT', headers, body: 'not really a picture' })
  return key
}

/** `value` with its leaves dropped: which members there are, down to the first of each list. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape)
  if (typeof value !== 'object' || value === null) return true
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shape(member)]))
}

describe('the example in docs/api.md for', async () => {
  const leftOut = await withoutCurl()

  it.skipIf(leftOut).each(SECTIONS)(
    '$title gives the members that it shows',
    async ({ command, answer }) => {
      if (command === undefined) throw new Error('This section has no example.')
      const printed = await runShell(presigner.here(command), { KEY: key })
      if (answer === undefined) expect(printed).toBe('')
      else expect(shape(JSON.parse(printed))).toEqual(shape(JSON.parse(answer)))
    },
  )
})
