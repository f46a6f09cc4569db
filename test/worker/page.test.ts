import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { pageFile } from '../../src/worker/page.ts'
import { environmentSettings } from '../support/environment-settings.ts'
import { baseVariables } from '../support/worker.ts'

const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'"

/** Requests a file of the page, with every file in public/ except `/assets/none.js`. */
function ask(url: string, variables: object = {}, method = 'GET') {
  const asked: string[] = []
  const ASSETS = {
    async fetch(request: Request) {
      asked.push(request.url)
      if (request.url.includes('none')) return new Response(null, { status: 404 })
      return new Response('file', { headers: { 'Content-Security-Policy': POLICY } })
    },
  }
  const workerEnv = { ...env, ...baseVariables(), ASSETS, ...variables }
  const request = new Request(url, { method })
  return { asked, answer: pageFile(request, workerEnv, environmentSettings) }
}

const FILES = [
  '/',
  '/?x=1',
  '/index.html',
  '/theme.js',
  '/icon.svg',
  '/openapi.json',
  '/assets/index-1.js',
]

describe('a file of the page', () => {
  it.each(FILES)('is served: %s', async (path) => {
    const { answer } = ask(`https://files.example${path}`)
    expect(await (await answer)?.text()).toBe('file')
  })

  it.each(FILES)('is not served on the host of LINK_ORIGIN: %s', async (path) => {
    const variables = { LINK_ORIGIN: 'https://img.example' }
    const { asked, answer } = ask(`https://img.example${path}`, variables)
    expect(await answer).toBeUndefined()
    expect(asked).toEqual([])
    expect(await ask(`https://files.example${path}`, variables).answer).toBeDefined()
  })

  it.each([
    '/files',
    '/healthz',
    '/i/files/a.js?exp=1',
    '/s3/sign',
    '/index.html/x',
    '/x/assets/a.js',
    '/files?x=/assets/a.js',
    '/i/files/x%2Fassets%2Fa.js',
  ])('is not requested by %s', async (path) => {
    const { asked, answer } = ask(`https://files.example${path}`)
    expect(await answer).toBeUndefined()
    expect(asked).toEqual([])
  })

  it('falls through to the API when public/ does not have it, or there is no page', async () => {
    expect(await ask('https://files.example/assets/none.js').answer).toBeUndefined()
    expect(await ask('https://files.example/', { ASSETS: undefined }).answer).toBeUndefined()
  })

  // @threat page-runs-upload
  it.each(['https://files.example', 'http://localhost:8787', 'https://a.workers.dev'])(
    'loads scripts and styles only from its own paths, at %s',
    async (origin) => {
      const answer = await ask(`${origin}/`).answer
      expect(answer?.headers.get('Content-Security-Policy')).toBe(
        `default-src 'none'; script-src ${origin}/assets/ ${origin}/theme.js; style-src ${origin}/assets/ ${origin}/theme.js; img-src 'self'`,
      )
    },
  )

  it.each(['http://127.0.0.1:8787', 'http://[::1]:8787', 'http://x;sandbox'])(
    'has its own policy when a policy cannot name paths, at %s',
    async (origin) => {
      const answer = await ask(`${origin}/`).answer
      expect(answer?.headers.get('Content-Security-Policy')).toBe(POLICY)
    },
  )
})
