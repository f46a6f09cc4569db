import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { DROPS } from '../../src/plugins/notifications/notification.ts'
import { markedBlock, readPage, wranglerCommands } from './support/markdown.ts'
import { NOTIFICATION_SECRET, type Presigner, startPresigner } from './support/presigner.ts'
import { runShell, withoutCurl } from './support/shell.ts'

const PAGE = 'docs/import-and-repair.md'
const RECIPE = 'docs/recipes/aws-eventbridge.md'
const isWithoutCurl = await withoutCurl()

const eventSchema = z.object({
  source: z.string(),
  'detail-type': z.string(),
  detail: z.object({
    bucket: z.object({ name: z.string() }),
    object: z.object({ key: z.string(), etag: z.string() }),
  }),
})
const uploadSchema = z.object({
  key: z.string(),
  uploadUrl: z.string(),
  headers: z.record(z.string(), z.string()),
})
const filesSchema = z.object({
  files: z.array(z.object({ key: z.string(), owner: z.nullable(z.string()) })),
})

/** Asks for an upload URL, uploads a file, and resolves with its key. */
async function upload(origin: string, fileName: string): Promise<string> {
  const asked = await fetch(`${origin}/files/upload-url`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ fileName, mimetype: 'text/plain' }),
  })
  const { key, uploadUrl, headers } = uploadSchema.parse(await asked.json())
  await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })
  return key
}

describe('the recipe for EventBridge', () => {
  const event = eventSchema.parse(JSON.parse(markedBlock(RECIPE, 'event')))

  it('has a pattern that matches its event', () => {
    expect(JSON.parse(markedBlock(RECIPE, 'pattern'))).toEqual({
      source: [event.source],
      'detail-type': expect.arrayContaining([event['detail-type']]),
      detail: { bucket: { name: [event.detail.bucket.name] } },
    })
  })

  describe.skipIf(isWithoutCurl)('with the built Worker and its bucket "files"', () => {
    let presigner: Presigner
    beforeAll(async () => {
      presigner = await startPresigner()
    })
    afterAll(() => presigner.close())

    /** Sends the event of the recipe about `key`, with the command of the recipe. */
    const send = (
      key: string,
      secret = NOTIFICATION_SECRET,
      etag = event.detail.object.etag,
    ): Promise<string> => {
      const { detail, ...others } = event
      const object = { ...detail.object, key, etag }
      const EVENT = JSON.stringify({
        ...others,
        time: '2026-11-24T12:00:00Z',
        detail: { ...detail, bucket: { name: 'files' }, object },
      })
      return runShell(
        `printf %s "$EVENT" > event.json\n${markedBlock(RECIPE, 'curl').replace('curl', 'curl -sS')}`,
        { EVENT, NOTIFICATION_SECRET: secret, PRESIGNER_URL: presigner.origin },
      )
    }

    it('answers as the recipe says', async () => {
      expect(await send(event.detail.object.key)).toBe('{"counts":{"missing":1}}')
      expect(readPage(RECIPE)).toContain('`{"counts":{"missing":1}}`')
      expect(await send(event.detail.object.key, 'x'.repeat(64))).toContain('"unauthenticated"')
    })

    it('records an upload that nobody confirmed', async () => {
      const key = await upload(presigner.origin, 'a b+c%41.txt')
      const etag = createHash('md5').update('hello').digest('hex')
      expect(await send(key, NOTIFICATION_SECRET, etag)).toContain('"notification"')
      // Another etag is of an older object.
      expect(await send(key)).toBe('{"counts":{"superseded":1}}')
      await presigner.age()
      expect(await send(key)).toBe('{"counts":{"recorded":1}}')
      const { files } = filesSchema.parse(await (await fetch(`${presigner.origin}/files`)).json())
      expect(files).toEqual([{ key, owner: null }])
    })

    it('answers the command of docs/import-and-repair.md as the page says', async () => {
      const example = markedBlock(PAGE, 'try')
      const env = { NOTIFICATION_SECRET, PRESIGNER_URL: presigner.origin, BUCKET: presigner.bucket }
      const answer = async (KEY: string, command = example) => {
        const printed = await runShell(command, { ...env, KEY })
        expect(readPage(PAGE)).toContain(`\`${printed}\``)
        return printed
      }
      const KEY = encodeURIComponent(await upload(presigner.origin, 'b c.txt'))
      expect(await runShell(example, { ...env, KEY })).toContain('"notification"')
      expect(readPage(PAGE)).toContain('In the first 90 seconds after the upload')
      await presigner.age()
      expect(await answer(KEY)).toBe('{"counts":{"recorded":1}}')
      expect(await answer('uploads%2Fybqr1sgp7a270ajfewde-a.txt')).toBe('{"counts":{"missing":1}}')
      const withoutSource = example.replace(/ *"eventSource".*\n/, '')
      expect(await runShell(withoutSource, { ...env, KEY })).toBe('{"counts":{"known":1}}')
      for (const name of ['eventTime', 'eventName', 'name', 'key']) {
        const without = example.replace(`"${name}"`, `"no-${name}"`)
        expect(await answer(KEY, without), name).toBe('{"counts":{"malformed":1}}')
      }
    })
  })
})

describe('the commands for R2', () => {
  const commands = wranglerCommands(PAGE)

  it('exist', () => {
    expect(commands).toHaveLength(3)
  })

  it('name the queues of wrangler.toml', () => {
    const toml = readPage('wrangler.toml')
    for (const name of ['edge-presigner-notifications', 'edge-presigner-notifications-dead']) {
      expect(toml).toContain(`queue = "${name}"`)
      expect(commands.join('\n')).toMatch(new RegExp(`${name}\\b`))
    }
  })
})

it('lists each reason for a drop once', () => {
  const [, section = ''] = readPage(PAGE).split('### Ignored notifications\n')
  const [table = ''] = section.split('\n\nServers')
  const reasons = [...table.matchAll(/^\| `([a-z ]+)` \|/gm)].map(([, reason]) => reason)
  expect(reasons).toEqual([...DROPS])
})
