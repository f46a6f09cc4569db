import { expect, it } from 'vitest'
import { testWorker } from '../support/worker.ts'

const worker = testWorker()
const png = { fileName: 'a.png', mimetype: 'image/png' }

const issuesOf = async (response: Promise<Response>) => {
  const answer = await response
  expect(answer.status).toBe(400)
  return Object(await answer.json()).issues
}

it.each<readonly [object, readonly (readonly [string, string])[]]>([
  [
    {},
    [
      ['mimetype', 'is missing'],
      ['fileName', 'is missing'],
    ],
  ],
  [{ ...png, fileName: 1 }, [['fileName', 'must be a string']]],
  [{ ...png, fileName: '' }, [['fileName', 'must not be empty']]],
  [{ ...png, fileName: 'x'.repeat(1025) }, [['fileName', 'must have at most 1024 characters']]],
  [{ ...png, key: 'a.png' }, [['fileName', "can't be combined with key"]]],
  [
    { key: 'a.png', mimetype: 'image/png', directory: 'b' },
    [['directory', "can't be combined with key"]],
  ],
  [{ ...png, size: 1.5 }, [['size', 'must be a whole number']]],
  [{ ...png, size: '1' }, [['size', 'must be a number']]],
  [{ ...png, size: -1 }, [['size', 'must be at least 0']]],
  [{ ...png, overwrite: 'false' }, [['overwrite', 'must be true or false']]],
  [{ ...png, metadata: [] }, [['metadata', 'must be an object']]],
  [{ ...png, metadata: { 'A b': 'x' } }, [['metadata.A b', 'must be a name of a-z, 0-9 and "-"']]],
  [
    { ...png, metadata: { 'A b': 1, a: 1 } },
    [
      ['metadata.A b', 'must be a name of a-z, 0-9 and "-"'],
      ['metadata.a', 'must be a string'],
    ],
  ],
  [{ ...png, sha256: 'x' }, [['sha256', 'must be 32 bytes in base64']]],
  [{ ...png, acl: 'x', tag: 'y' }, [['', 'has unknown members: "acl", "tag"']]],
])('names the error in each member of %j', async (body, issues) => {
  expect(await issuesOf(worker.post('/files/upload-url', body))).toEqual(
    issues.map(([path, message]) => ({ path, message })),
  )
})

it.each([
  ['use=other', 'use', 'must be one of view, stream, email'],
  ['inline=1', 'inline', 'must be one of true, false'],
  ['expiresIn=x', 'expiresIn', 'must be a whole number'],
  ['other=1', '', 'has unknown members: "other"'],
])('names the error in the query %s', async (query, path, message) => {
  expect(await issuesOf(worker.fetch(`/files/a.png/url?${query}`))).toEqual([{ path, message }])
})

it('names the limit for the keys in a list', async () => {
  const keys = Array.from({ length: 1001 }, () => 'a')
  expect(await issuesOf(worker.post('/links', { keys }))).toEqual([
    { path: 'keys', message: 'must have at most 1000 items' },
  ])
  expect(await issuesOf(worker.post('/links', { keys: [] }))).toEqual([
    { path: 'keys', message: 'must not be empty' },
  ])
})
