import { expect, it, vi } from 'vitest'
import type { FilePage, ListedFile } from '../../client/src/answers/files.ts'
import { type Client, createClient } from '../../client/src/client.ts'
import { announce } from '../../client/src/file-changes.ts'
import { createFilePages, type FilePagesOptions } from '../../client/src/file-pages.ts'
import { PresignerError } from '../../client/src/presigner-error.ts'
import type { ListOptions } from '../../client/src/requests.ts'
import { PATIENCE } from '../support/patience.ts'

const fileOf = (key: string, name = key): ListedFile => ({
  ...{ key, bucket: 'files', name, size: 1, mimetype: 'text/plain', etag: '"e"', owner: null },
  createdAt: '2026-11-28T12:00:00.000Z',
})

interface Asked extends PromiseWithResolvers<FilePage> {
  readonly query: (ListOptions & { readonly signal?: AbortSignal | undefined }) | undefined
}

/** Returns a list that somebody watches, and the requests for its pages, which a test answers. */
function watch(options: FilePagesOptions, remove: Client['remove'] = async () => {}) {
  const asked: Asked[] = []
  const client: Client = {
    ...createClient({ baseUrl: 'https://files.example.com' }),
    list(query) {
      const one = { query, ...Promise.withResolvers<FilePage>() }
      asked.push(one)
      return one.promise
    },
    remove,
  }
  const pages = createFilePages(client, options)
  const stop = pages.subscribe(() => {})
  const answer = async (page: FilePage): Promise<void> => {
    asked.at(-1)?.resolve(page)
    await vi.waitFor(() => expect(pages.getSnapshot().isFetching).toBe(false), PATIENCE)
  }
  const keys = () => pages.getSnapshot().files.map(({ key }) => key)
  const change = (key: string, name?: string) => announce(client.session(), key, fileOf(key, name))
  return { client, pages, asked, answer, keys, change, stop }
}

it('a list without a question shows an upload first, and loads nothing', async () => {
  const { asked, answer, keys, change } = watch({ prefix: 'a/', limit: 2, q: undefined })
  await answer({ files: [fileOf('a/1')] })
  change('a/2')
  expect(keys()).toEqual(['a/2', 'a/1'])
  expect(asked.map(({ query }) => query)).toMatchObject([{ prefix: 'a/', limit: 2 }])
})

it.each<FilePagesOptions>([
  { q: 'report' },
  { sort: '-createdAt' },
  { type: 'image/*' },
  { minSize: 0 },
  { delimiter: '/' },
])('a list with %o is loaded again after an upload or a rename', async (question) => {
  const { asked, answer, keys, change } = watch(question)
  expect(asked[0]?.query).toMatchObject(question)
  await answer({ files: [fileOf('a')] })
  change('b')
  expect(keys()).toEqual(['a'])
  expect(asked).toHaveLength(2)
  await answer({ files: [fileOf('c'), fileOf('a')] })
  expect(keys()).toEqual(['c', 'a'])
  change('a', 'other')
  expect(asked).toHaveLength(3)
})

it('a list with a question sends one request at a time, and one more after the last change', async () => {
  const { pages, asked, keys, change } = watch({ q: 'a' })
  for (const key of ['a1', 'a2', 'a3']) change(key)
  expect(asked).toHaveLength(1)
  asked[0]?.resolve({ files: [] })
  await vi.waitFor(() => expect(asked).toHaveLength(2), PATIENCE)
  asked[1]?.resolve({ files: [fileOf('a3')] })
  await vi.waitFor(() => expect(pages.getSnapshot().isFetching).toBe(false), PATIENCE)
  expect(keys()).toEqual(['a3'])
  expect(asked).toHaveLength(2)
})

it('a list with a question keeps its pages when a file is deleted', async () => {
  const { pages, asked, answer, keys } = watch({ q: 'a' })
  await answer({ files: [fileOf('a1'), fileOf('a2')], cursor: 'c' })
  expect(await pages.remove('a1')).toBe(true)
  expect(keys()).toEqual(['a2'])
  expect(asked).toHaveLength(1)
})

it('a file whose object is deleted stays away, whatever failed after that', async () => {
  const { pages, answer, keys } = watch({}, async () => {
    throw new PresignerError('unavailable', 'No.', { status: 503, deleted: true })
  })
  await answer({ files: [fileOf('a1'), fileOf('a2')] })
  expect(await pages.remove('a1')).toBe(true)
  expect(keys()).toEqual(['a2'])
  expect(pages.getSnapshot().error).toMatchObject({ deleted: true })
})

it('has the folders of all pages, also of a page without files', async () => {
  const { pages, asked, answer, keys } = watch({ delimiter: '/' })
  const folder = (prefix: string) => ({ prefix, count: 1, bytes: 1 })
  await answer({ files: [], folders: [folder('a/')], cursor: 'c' })
  expect(asked).toHaveLength(1)
  expect(pages.getSnapshot()).toMatchObject({ folders: [folder('a/')], hasMore: true })
  const more = pages.loadMore()
  expect(asked[1]?.query).toMatchObject({ delimiter: '/', cursor: 'c' })
  await answer({ files: [fileOf('1')], folders: [folder('b/')] })
  await more
  expect(pages.getSnapshot().folders).toEqual([folder('a/'), folder('b/')])
  expect(keys()).toEqual(['1'])
  void pages.refresh()
  await answer({ files: [] })
  expect(pages.getSnapshot().folders).toEqual([])
})

// @threat other-user-in-browser
it('a list is empty when the session ends, and what is being loaded is not shown', async () => {
  const { client, pages, asked, answer, keys } = watch({})
  await answer({ files: [fileOf('a/1')], cursor: 'next' })
  void pages.loadMore()
  client.end()
  expect(keys()).toEqual([])
  expect(pages.getSnapshot()).toMatchObject({ status: 'failed', error: { code: 'user_changed' } })
  expect(asked[1]?.query?.signal?.aborted).toBe(true)
  await answer({ files: [fileOf('a/2')] })
  expect(pages.getSnapshot()).toMatchObject({ files: [], hasMore: false })
})

it('a list that nobody watches is not loaded again', async () => {
  const { asked, answer, change, stop } = watch({ q: 'a' })
  await answer({ files: [] })
  stop()
  change('a1')
  expect(asked).toHaveLength(1)
})

it('a request whose answer nobody waits for is canceled', async () => {
  const { pages, asked, answer, stop } = watch({ q: 'a' })
  const canceled = () => asked.map(({ query }) => query?.signal?.aborted)
  const refreshed = pages.refresh()
  expect(canceled()).toEqual([true, false])
  asked[0]?.reject(new Error('canceled'))
  await answer({ files: [fileOf('a1')], cursor: 'next' })
  await refreshed
  expect(pages.getSnapshot()).toMatchObject({ status: 'ready', error: undefined, hasMore: true })
  void pages.loadMore()
  const more = asked.at(-1)
  stop()
  const stopAgain = pages.subscribe(() => {}) // as React does in StrictMode
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(canceled()).toEqual([true, true, false])
  stopAgain()
  await vi.waitFor(() => expect(canceled()).toEqual([true, true, true]), PATIENCE)
  more?.reject(new Error('canceled'))
  pages.subscribe(() => {})
  expect(asked).toHaveLength(4)
  await answer({ files: [fileOf('a2')] })
  expect(pages.getSnapshot()).toMatchObject({ files: [{ key: 'a2' }], error: undefined })
})
