import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { SCOPES } from '../../src/access/scopes.ts'
import { codeBlocks, markedBlock, readPage } from './support/markdown.ts'
import { type Presigner, startPresigner } from './support/presigner.ts'
import { runShell, withoutCurl } from './support/shell.ts'
import { BROWSER, writeSnippets } from './support/snippets.ts'

let presigner: Presigner
beforeAll(async () => {
  presigner = await startPresigner()
})
afterAll(() => presigner.close())

const block = (page: string, mark: string): string => presigner.here(markedBlock(page, mark))

/** Uploads and records a file, and returns its key. */
async function uploadedFile(): Promise<string> {
  const post = (path: string, body: object) =>
    fetch(presigner.origin + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  const request = { fileName: 'a.png', mimetype: 'image/png' }
  const upload: unknown = await (await post('/files/upload-url', request)).json()
  const { uploadUrl, key } = z.object({ uploadUrl: z.string(), key: z.string() }).parse(upload)
  const headers = { 'Content-Type': 'image/png' }
  await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels, or so' })
  await post('/files', { key, name: 'a.png' })
  return key
}

const listed = async (): Promise<unknown> => (await fetch(`${presigner.origin}/files`)).json()

describe('the walk-through with curl', async () => {
  it.skipIf(await withoutCurl())('uploads, shows, lists and deletes', async () => {
    const printed = await runShell(block('docs/try.md', 'walk-through'))
    const [recorded = '', downloaded, list = '', ...rest] = printed.split('\n')
    const record: unknown = JSON.parse(recorded)
    expect(record).toMatchObject({ name: 'hello.txt', size: 20, mimetype: 'text/plain' })
    expect(downloaded).toBe('Hello from the edge')
    expect(JSON.parse(list)).toEqual({ files: [record] })
    expect(rest).toEqual([''])
    expect(await listed()).toEqual({ files: [] })
  })
})

describe('the first examples of the API', async () => {
  it.skipIf(await withoutCurl())('upload a file with curl, and print a link to it', async () => {
    const printed = await runShell(block('docs/api.md', 'start-worker'))
    const [, record = '', link = ''] = /^(\{.*?\})(\{"link".*\})$/.exec(printed) ?? []
    expect(JSON.parse(record)).toMatchObject({ name: 'hello.txt', size: 6 })
    const answer = z.object({ link: z.string() }).parse(JSON.parse(link))
    expect(await (await fetch(answer.link)).text()).toBe('Hello\n')
    const { key } = z.object({ key: z.string() }).parse(JSON.parse(record))
    const path = `/files/${encodeURIComponent(key)}`
    await fetch(presigner.origin + path, { method: 'DELETE' })
  })

  it('compile for a page', async () => {
    const files = { 'show.ts': markedBlock('docs/api.md', 'start-client') }
    const snippets = writeSnippets(files, { compilerOptions: BROWSER })
    expect(await snippets.typeErrors()).toBe('')
    snippets.remove()
  })
})

it('docs/upload.md has code that compiles for a page', async () => {
  const blocks = codeBlocks(readPage('docs/upload.md')).filter(({ language }) => language === 'ts')
  expect(blocks.length).toBeGreaterThan(4)
  const files = Object.fromEntries(blocks.map(({ code }, i) => [`block-${i}.ts`, code]))
  const snippets = writeSnippets(files, { compilerOptions: BROWSER })
  expect(await snippets.typeErrors()).toBe('')
  snippets.remove()
})

describe('the flow in a browser', () => {
  it('shows the chosen file in the <img>, and sends the bucket only a Content-Type', async () => {
    const [, script = ''] =
      /<script type="module">([\s\S]*)<\/script>/.exec(block('docs/upload.md', 'browser')) ?? []
    const input: { onchange?: (event: unknown) => Promise<void> } = {}
    const img: { src?: string } = {}
    const puts: unknown[] = []
    runInNewContext(script, {
      document: { querySelector: (name: string) => ({ input, img })[name] },
      fetch(url: string, init?: RequestInit) {
        if (init?.method === 'PUT') puts.push(init.headers)
        return fetch(url, init)
      },
    })

    const file = new File(['not really a picture'], 'My Photo.PNG', { type: 'image/png' })
    await input.onchange?.({ target: { files: [file] } })

    expect(puts).toEqual([{ 'Content-Type': 'image/png' }])
    const shown = await fetch(img.src ?? '')
    expect(shown.headers.get('content-type')).toBe('image/png')
    expect(await shown.text()).toBe('not really a picture')
    expect(await listed()).toMatchObject({ files: [{ name: 'My Photo.PNG', size: 20 }] })
  })
})

describe('the example of links', async () => {
  it.skipIf(await withoutCurl())('prints an <img> whose source is cached at the edge', async () => {
    await uploadedFile()
    const [img = '', ...head] = (await runShell(block('docs/try.md', 'links'))).split(/\r?\n/)
    expect(head[0]).toBe('HTTP/1.1 200 OK')
    expect(head).toContain('Cache-Status: edge-presigner; fwd=uri-miss')
    const [, src = ''] = /^<img src="([^"]+)">$/.exec(img) ?? []
    await expect.poll(async () => (await fetch(src)).headers.get('Cache-Status')).toContain('hit')
    expect(await (await fetch(src)).text()).toBe('pixels, or so')
  })
})

describe('the check of a deployment in docs/security.md', async () => {
  it.skipIf(await withoutCurl())('prints the results in its comments', async () => {
    const key = await uploadedFile()
    const minted = await fetch(`${presigner.origin}/tokens`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ scopes: SCOPES }),
    })
    const { token } = z.object({ token: z.string() }).parse(await minted.json())
    const script = markedBlock('docs/security.md', 'check')
      .replace('https://edge-presigner.YOUR-SUBDOMAIN.workers.dev', presigner.origin)
      .replace('uploads/…', key)
    const printed = await runShell(script, { PRESIGNER_KEY: token })
    const answers = printed.split(/^HTTP\/1\.1 /m).slice(1)
    const seen = answers.map((answer) => ({
      status: answer.slice(0, 3),
      cache: /edge-presigner; (.*?)\r?$/m.exec(answer)?.[1],
      length: /Content-Length: (\d+)/i.exec(answer)?.[1],
    }))
    const whole = { status: '200', cache: 'hit', length: '13' }
    expect(seen).toMatchObject([
      { ...whole, cache: 'fwd=uri-miss' },
      whole,
      { ...whole, status: '206', length: '10' },
      { status: '416' },
      whole,
      { status: '404' },
    ])
  })
})
