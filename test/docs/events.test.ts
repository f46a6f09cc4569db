import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import { answers, waitUntil } from '../../cli/wait-until.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { signatureHeaders } from '../../src/plugins/events/webhook.ts'
import { EVENT_TYPES, eventBody } from '../../src/records/file-event.ts'
import { markedBlock, ROOT, readPage } from './support/markdown.ts'
import { type Snippets, writeSnippets } from './support/snippets.ts'

const PAGE = 'docs/events.md'
const block = (mark: string): string => markedBlock(PAGE, mark)
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

let snippets: Snippets
beforeAll(() => {
  snippets = writeSnippets({
    'receiver.mjs': block('receiver'),
    'settings.ts': `import type { SettingsFor } from 'edge-presigner'
      export declare const settings: SettingsFor<unknown>`,
    'database.ts': `import type { FileRecord } from 'edge-presigner'
      export declare function saveFile(file: FileRecord, user: string | null): Promise<{ id: number }>`,
    'on-event.ts': block('on-event'),
    'mounted-queue.ts': block('mounted-queue'),
    'scanner.ts': `import type { FileRecord } from 'edge-presigner'
      export declare function startScan(file: FileRecord): Promise<void>
      export declare function isClean(key: string): Promise<boolean>`,
    'scan.ts': block('scan'),
    'send-back.mjs': block('send-back-worker'),
  })
})
afterAll(() => snippets.remove())

describe('docs/events.md', () => {
  it('shows the block for the queue that wrangler.toml has as a comment', () => {
    const toml = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8')
    const commented = block('queue')
      .trim()
      .split('\n')
      .map((line) => `# ${line}`.trim())
    expect(toml).toContain(commented.join('\n'))
  })

  it('shows a payload with the members that the Worker sends, and names each event', () => {
    const { type, timestamp, data } = JSON.parse(block('payload'))
    const file = { ...data.file, key: parseObjectKey(data.file.key) }
    const sent = eventBody({ ...data, type: type.split('.')[1], timestamp, file })
    expect(JSON.parse(sent)).toEqual({ type, timestamp, data })
    for (const name of EVENT_TYPES) expect(readPage(PAGE)).toContain(`\`${name}\``)
  })

  it('has code for apps that compiles', async () => {
    expect(await snippets.typeErrors()).toBe('')
  })
})

interface Message {
  readonly body: unknown
  ack(): void
}
interface SendBack {
  queue(batch: object, env: object): Promise<void>
}

// @threat dead-letter-lost
it('the Worker in docs/events.md acknowledges a dead letter only when it is in its queue again', async () => {
  const { default: worker }: { default: SendBack } = await import(
    join(snippets.directory, 'send-back.mjs')
  )
  const done: string[] = []
  const message = (body: string): Message => ({ body, ack: () => void done.push(`ack ${body}`) })
  const send = async (body: string) => {
    if (body === 'b') throw new Error('full')
    done.push(`send ${body}`)
  }
  const batch = { messages: ['a', 'b', 'c'].map(message) }
  await expect(worker.queue(batch, { BACK: { send } })).rejects.toThrow('full')
  expect(done).toEqual(['send a', 'ack a'])
})

describe('the receiver in docs/events.md', () => {
  let url: string
  const saved: string[] = []
  const stop = new AbortController()

  beforeAll(async () => {
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    const child = spawn(process.execPath, [join(snippets.directory, 'receiver.mjs')], {
      env: { ...process.env, PORT: String(port), WEBHOOK_SECRET: SECRET },
      stdio: ['ignore', 'pipe', 'inherit'],
      signal: stop.signal,
    })
    child.on('error', () => undefined) // the end of the test
    createInterface({ input: child.stdout }).on('line', (line) => saved.push(line))
    await once(child, 'spawn')
    await waitUntil('The receiver', () => answers(url), 240)
  })
  afterAll(() => stop.abort())

  const body = (key: string) => JSON.stringify({ type: 'file.deleted', data: { file: { key } } })
  const send = async (
    id: string,
    key: string,
    headers = {},
    sent = body(key),
    now = new Date(),
  ) => {
    const signed = await signatureHeaders([SECRET], id, body(key), now)
    const init = { method: 'POST', headers: { ...signed, ...headers }, body: sent }
    return (await fetch(url, init)).status
  }

  // @threat event-forged
  it('saves an event once, although it arrives twice', async () => {
    expect([await send('evt_1', 'a'), await send('evt_1', 'a')]).toEqual([204, 204])
    expect(await send('evt_2', 'b')).toBe(204)
    await expect.poll(() => saved).toEqual(['file.deleted a', 'file.deleted b'])
  })

  // @threat event-forged
  it('refuses a forged, changed or old event', async () => {
    const before = [...saved]
    const forged = { 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` }
    expect(await send('evt_3', 'c', forged)).toBe(401)
    expect(await send('evt_4', 'c', {}, body('another key'))).toBe(401)
    expect(await send('evt_5', 'c', { 'webhook-id': 'evt_6' })).toBe(401)
    expect(await send('evt_7', 'c', {}, body('c'), new Date(Date.now() - 301_000))).toBe(401)
    expect(await fetch(url, { method: 'POST', body: '{}' })).toMatchObject({ status: 401 })
    expect(saved).toEqual(before)
  })
})
