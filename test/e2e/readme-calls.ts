import { expect } from 'vitest'
import * as z from 'zod/mini'
import { readPage, tableRows } from '../docs/support/markdown.ts'
import { smallPng } from './small-png.ts'

const README = readPage('README.md')

/** The oldest Node with which the README promises that a clone works. */
export const OLDEST_NODE = /Node (\d+) or newer/.exec(README)?.[1] ?? ''

const SECONDS = { minutes: 60, hours: 3600 }

const answerSchema = z.object({
  key: z.optional(z.string()),
  uploadUrl: z.optional(z.url()),
  url: z.optional(z.url()),
  link: z.optional(z.url()),
  expiresIn: z.optional(z.int()),
  files: z.optional(z.array(z.object({ key: z.string() }))),
})

/** A call in the table "Six calls" of the README. */
interface Call {
  readonly method: string
  /** With `:key` for the object key. */
  readonly path: string
  readonly body: string | undefined
  /** What its row says that you get. */
  readonly promise: string
}

/** Returns the calls of the table, in order. A row without one shares that of the row above. */
export function readmeCalls(): readonly Call[] {
  const [section = ''] = README.split('\n## Six calls\n')[1]?.split('\n## ') ?? []
  const rows = tableRows(section).filter(([first = '']) => !/^(?:You want|---)/.test(first))
  expect(rows).toHaveLength(6)
  return rows.flatMap(([, calls = '', promise = '']) =>
    [...calls.matchAll(/`(GET|POST) (\/\S+)`(?: `(\{.*?\})`)?/g)].map(
      ([, method = '', path = '', body]) => ({ method, path, body, promise }),
    ),
  )
}

/** Makes the calls at a Worker, as a reader would, and expects what the table says. */
export async function expectReadmeCalls(origin: string): Promise<void> {
  const calls = readmeCalls()
  const answers: z.infer<typeof answerSchema>[] = []
  const picture = smallPng(3, 2)
  let key = ''
  for (const { method, path, body, promise } of calls) {
    const url = origin + path.replace(':key', encodeURIComponent(key))
    const init = body && {
      body: body.replace('uploads/…', key),
      headers: { 'Content-Type': 'application/json' },
    }
    const response = await fetch(url, { method, ...init })
    expect(response.ok, `${method} ${path}`).toBe(true)
    const answer = answerSchema.parse(await response.json())
    answers.push(answer)
    key ||= answer.key ?? ''
    if (answer.uploadUrl !== undefined) await expectUpload(answer.uploadUrl, picture)
    if (answer.url !== undefined) await expectPicture(answer.url, picture)
    if (answer.link !== undefined) await expectPicture(answer.link, picture)
    if (answer.files !== undefined) expect(answer.files.map((file) => file.key)).toContain(key)
    if (answer.expiresIn !== undefined) expect(secondsIn(promise)).toContain(answer.expiresIn)
  }
  const members = answers.flatMap((answer) => Object.keys(answer))
  for (const member of ['uploadUrl', 'url', 'link', 'files']) expect(members).toContain(member)
  await expectPresets(origin, key)

  // The bucket stays private.
  const signed = new URL(answers.find(({ url }) => url !== undefined)?.url ?? '')
  expect((await fetch(signed.origin + signed.pathname)).status).toBe(403)
  expectCleanKey(key)
}

/** Expects that the bucket takes the picture, and no other type. */
async function expectUpload(url: string, picture: Buffer): Promise<void> {
  const put = (type: string) =>
    fetch(url, { method: 'PUT', headers: { 'Content-Type': type }, body: new Uint8Array(picture) })
  expect((await put('text/html')).status).toBe(403)
  expect((await put('image/png')).status).toBe(200)
}

async function expectPicture(url: string, picture: Buffer): Promise<void> {
  const shown = await fetch(url)
  expect([shown.status, shown.headers.get('Content-Type')]).toEqual([200, 'image/png'])
  expect(Buffer.from(await shown.arrayBuffer()).equals(picture)).toBe(true)
}

/** Expects each use of the table to have its lifetime, such as "48 hours for `email`". */
async function expectPresets(origin: string, key: string): Promise<void> {
  const presets = [...README.matchAll(/(\d+) (minutes|hours) for `(\w+)`/g)]
  expect(presets.map(([, , , use]) => use).toSorted()).toEqual(['email', 'stream', 'view'])
  for (const [text, , , use] of presets) {
    const response = await fetch(`${origin}/files/${encodeURIComponent(key)}/url?use=${use}`)
    const { expiresIn } = answerSchema.parse(await response.json())
    expect([use, expiresIn]).toEqual([use, secondsIn(text)[0]])
  }
}

/** Expects the key to end as the one of the table. */
function expectCleanKey(key: string): void {
  const [, start = '', end = ''] = /`key`, such as `(uploads\/)\w+…([^`]+)`/.exec(README) ?? []
  expect(end).not.toBe('')
  expect(key.slice(0, start.length)).toBe(start)
  expect(key.slice(-end.length)).toBe(end)
}

/** Returns the times in a text, such as "5 minutes". */
const secondsIn = (text: string): readonly number[] =>
  [...text.matchAll(/(\d+) (minutes|hours)/g)].map(
    ([, count, unit]) => Number(count) * (unit === 'hours' ? SECONDS.hours : SECONDS.minutes),
  )
