import { describe, expect, it } from 'vitest'
import type { FileIndex, FileRecord } from '../../src/index.ts'
import { memoryFileIndex } from '../../src/testing.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, upload } from '../support/app.ts'
import { mount } from '../support/mount.ts'

/** A fresh start of keys, so that tests don't share any. */
const folder = (): string => `own-index/${crypto.randomUUID()}/`

/** Tells whether `text` matches SQL's `LIKE`, in which `_` is any character, without case. */
const isLike = (text: string, pattern: string): boolean =>
  new RegExp(`^${pattern.replaceAll('_', '.').replaceAll('%', '.*')}$`, 'i').test(text)

/** An app whose index compares keys as SQL's `LIKE` does, in all buckets at once. */
function appWithLike(prefix: string) {
  const files = memoryFileIndex()
  const recorded = new Map<string, FileRecord>()
  const find = (pattern: string) => [...recorded.values()].filter(({ key }) => isLike(key, pattern))
  const index: FileIndex = {
    ...files,
    get: async (_, key) => find(key)[0] ?? null,
    async put(record) {
      const known = find(record.key)[0]
      recorded.set(known?.key ?? record.key, { ...record, key: known?.key ?? record.key })
      return known ?? record
    },
    list: async ({ prefix: start }) => ({
      records: find(`${start}%`),
      cursor: undefined,
      unreadable: 0,
    }),
  }
  const app = mount({ files: { index: () => index }, authenticate: () => ({ ...ANN, prefix }) })
  const add = (key: string, bucket = 'files') =>
    recorded.set(key, {
      ...{ key: key as never, bucket, name: 'theirs.txt', size: 1, mimetype: 'text/plain' },
      ...{ etag: '"a"', owner: 'app:other', createdAt: '2026-11-24T12:00:00.000Z' },
    })
  return { app, add }
}

describe('an index of the app that returns other records', () => {
  // @threat index-other-file
  it('shows and signs in a list only keys of the bucket that start with the prefix', async () => {
    const base = folder()
    const { app, add } = appWithLike(`${base}a_b/`)
    const own = `${base}a_b/own.txt`
    add(own)
    add(`${base}axb/other.txt`)
    add(`${base}A_B/case.txt`)
    add(`${base}a_b/bucket.txt`, 'other')
    add(`${base}a_b/../axb/dots.txt`)
    for (const path of ['/media/files', '/media/files?urls=view']) {
      const text = await (await app.fetch(path)).text()
      const { files } = JSON.parse(text)
      expect(files.map(({ key }: { key: string }) => key)).toEqual([own])
      for (const name of ['other', 'case', 'bucket', 'dots'])
        expect(text).not.toContain(`${name}.txt`)
      expect(app.lines.at(-1)?.warning).toBe('index entries unreadable: 4')
    }
  })

  // @threat index-other-file
  it.each([
    ['GET', {}],
    ['PATCH', { body: '{"name":"mine.txt"}' }],
  ])('%s of a file neither shows nor changes them', async (method, init) => {
    const base = folder()
    const { app, add } = appWithLike(base)
    add(`${base}axb.txt`)
    const response = await app.fetch(`/media/files/${encodeURIComponent(`${base}a_b.txt`)}`, {
      ...{ method, ...init },
      headers: { 'Content-Type': 'application/json' },
    })
    expect(response.status).toBe(503)
    expect(await response.text()).not.toContain('theirs')
    expect(app.lines.at(-1)).toMatchObject({
      code: 'unavailable',
      reason: expect.stringMatching(/^index: .*other than the record of this file/),
    })
  })

  // @threat index-other-file
  it('is not taken for the record of an upload, nor after a write', async () => {
    const files = memoryFileIndex()
    const other = { key: 'theirs.txt', bucket: 'files', name: 'theirs.txt', owner: 'app:other' }
    const wrong = async () => other as never
    for (const broken of [{ get: wrong }, { put: wrong }]) {
      const app = mount({ files: { index: () => ({ ...files, ...broken }) } })
      const key = await upload(app, '/media')
      const response = await app.post('/media/files', { key })
      expect(await jsonOf(response)).toMatchObject({ code: 'unavailable', reason: 'index' })
      const path = `/media/files/${encodeURIComponent(key)}`
      const removed = await app.fetch(path, { method: 'DELETE' })
      expect(removed.status).toBe('get' in broken ? 503 : 204)
    }
  })

  // @threat index-other-file
  it('shows only folders that start with the prefix, in a list and in totals', async () => {
    const folders = ['users/a_b/x/', 'users/axb/y/', 'users/A_B/z/']
    const counted = { count: 1, bytes: 1 }
    const seen: string[] = []
    const index: FileIndex = {
      ...memoryFileIndex(),
      answers: {
        find: async () => ({
          ...{ records: [], cursor: undefined, unreadable: 0 },
          folders: folders.map((prefix) => ({ prefix, ...counted })),
        }),
        async stats({ groupBy }) {
          seen.push(String(groupBy))
          const values = groupBy === 'folder' ? [...folders, null] : ['image/png', null]
          return groupBy === undefined
            ? counted
            : { ...counted, groups: values.map((value) => ({ value, ...counted })) }
        },
      },
    }
    const authenticate = () => ({ ...ANN, prefix: 'users/a_b/' })
    const app = mount({ files: { index: () => index }, authenticate })
    const answer = async (path: string) => jsonOf(await app.fetch(`/media${path}`))
    const [own] = folders
    expect(await answer('/files?delimiter=/')).toMatchObject({
      folders: [{ prefix: own, ...counted }],
    })
    expect(await answer('/stats?groupBy=folder')).toEqual({
      ...counted,
      groups: [{ value: own, ...counted }],
    })
    expect(await answer('/stats?groupBy=type')).toMatchObject({
      groups: [{ value: 'image/png' }, { value: null }],
    })
    expect(await answer('/stats')).toEqual(counted)
    expect(seen).toEqual(['folder', 'type', 'undefined'])
  })

  it.each<readonly [string, (date: string) => unknown]>([
    ['a Date', (date) => new Date(date)],
    ['the text of a database', (date) => date.replace('T', ' ').replace('Z', '+00')],
    ['nothing', () => undefined],
  ])('with %s for createdAt blames the index, and not the file', async (_, dated) => {
    const files = memoryFileIndex()
    const put: FileIndex['put'] = async (record) => {
      await files.put(record)
      return { ...record, createdAt: dated(record.createdAt) as string }
    }
    const app = mount({ files: { index: () => ({ ...files, put }) } })
    const key = await upload(app, '/media')
    const response = await app.post('/media/files', { key })
    expect(await jsonOf(response)).toMatchObject({ code: 'unavailable', reason: 'index' })
    expect(app.lines.at(-1)?.reason).toContain('other than the record of this file')
  })

  it('may return undefined for no record', async () => {
    const files = memoryFileIndex()
    const app = mount({
      files: { index: () => ({ ...files, get: async () => undefined as never }) },
    })
    const key = await upload(app, '/media')
    expect((await app.post('/media/files', { key })).status).toBe(201)
  })

  it('lists without what is no record, and without a next page that does not exist', async () => {
    const files = memoryFileIndex()
    const list: FileIndex['list'] = async (input) => {
      const { records } = await files.list(input)
      const junk = [null, undefined, {}, { bucket: 'files' }, { bucket: 'files', key: 7 }]
      return { records: [...records, ...(junk as never[])], cursor: null as never, unreadable: 0 }
    }
    const app = mount({ files: { index: () => ({ ...files, list }) } })
    const key = await upload(app, '/media')
    await app.post('/media/files', { key, name: 'a.png' })
    const body = await jsonOf(await app.fetch('/media/files'))
    expect(body).toEqual({ files: [expect.objectContaining({ key })] })
    expect(app.lines.at(-1)?.warning).toBe('index entries unreadable: 5')
  })
})
