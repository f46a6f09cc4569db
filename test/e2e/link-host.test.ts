import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'

const PUBLIC = join(import.meta.dirname, '../../public')

let worker: BuiltWorker

/** Returns the built Worker's response to a request with this Host header. */
async function ask(host: string, path: string): Promise<IncomingMessage> {
  const sent = request(worker.origin + path, { headers: { Host: host } }).end()
  const [answer]: IncomingMessage[] = await once(sent, 'response')
  if (answer === undefined) throw new Error('No answer')
  answer.resume()
  return answer
}

/** The paths of all files of the page, as `npm run build` created them. */
async function pagePaths(): Promise<string[]> {
  const entries = await readdir(PUBLIC, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && !/^(?:\.|_headers)/.test(entry.name))
    .map(({ parentPath, name }) => `/${relative(PUBLIC, join(parentPath, name))}`)
}

beforeAll(async () => {
  worker = await startBuiltWorker({
    buckets: {
      files: {
        endpoint: 'http://127.0.0.1:1',
        region: 'auto',
        bucket: 'files',
        addressing: 'path',
        credentials: 'S3',
      },
    },
    accessKeys: { S3: { accessKeyId: 'a', secretAccessKey: 'b' } },
    variables: { LINK_ORIGIN: 'http://img.example' },
  })
})
afterAll(() => worker.close())

describe('the page', () => {
  it("is served completely on the API's host", async () => {
    const paths = await pagePaths()
    expect(paths.length).toBeGreaterThan(5)
    for (const path of ['/', ...paths]) {
      const { statusCode } = await ask('files.example', path)
      // The file of "/" has its own path, which redirects there.
      expect(statusCode, path).toBe(path === '/index.html' ? 307 : 200)
    }
  })

  it('is refused completely on the link host', async () => {
    for (const path of ['/', '//', '/assets/', '/%69ndex.html', ...(await pagePaths())]) {
      const { statusCode, headers } = await ask('img.example', path)
      expect(statusCode, path).toBe(404)
      expect(headers['content-type'], path).toContain('application/json')
    }
    expect((await ask('img.example', '/healthz')).statusCode).toBe(200)
  })

  it('names the paths of its scripts', async () => {
    const { headers } = await ask('files.example', '/')
    expect(headers['content-security-policy']).toContain(
      'script-src http://files.example/assets/ http://files.example/theme.js;',
    )
    expect(headers['x-content-type-options']).toBe('nosniff')
  })
})
