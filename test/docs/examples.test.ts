import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { markedBlock } from './support/markdown.ts'
import { type Presigner, startPresigner } from './support/presigner.ts'
import { runShell, withoutCurl } from './support/shell.ts'

let presigner: Presigner
beforeAll(async () => {
  presigner = await startPresigner()
})
afterAll(() => presigner.close())

const readme = (mark: string): string => presigner.here(markedBlock('README.md', mark))

const listed = async (): Promise<unknown> => (await fetch(`${presigner.origin}/files`)).json()

describe('the walk-through with curl', async () => {
  it.skipIf(await withoutCurl())('uploads, shows, lists and deletes', async () => {
    const printed = await runShell(readme('walk-through'))
    const [recorded = '', downloaded, list = '', ...rest] = printed.split('\n')
    const record: unknown = JSON.parse(recorded)
    expect(record).toMatchObject({ name: 'hello.txt', size: 20, mimetype: 'text/plain' })
    expect(downloaded).toBe('Hello from the edge')
    expect(JSON.parse(list)).toEqual({ files: [record] })
    expect(rest).toEqual([''])
    expect(await listed()).toEqual({ files: [] })
  })
})

describe('the flow in a browser', () => {
  it('puts the chosen file into the <img>, and sends the bucket nothing but a Content-Type', async () => {
    const [, script = ''] =
      /<script type="module">([\s\S]*)<\/script>/.exec(readme('browser')) ?? []
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
