import { expect, it } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { directObjects } from '../../../src/plugins/links/direct-objects.ts'
import { serveLink } from '../../../src/plugins/links/serve-link.ts'
import { testPlace } from '../../support/test-bucket.ts'

/** Returns the `Cache-Status` of a link when `Objects` answers with these headers. */
async function cacheStatus(headers: Record<string, string>): Promise<string | null> {
  const policy = {
    bucket: 'files',
    key: parseObjectKey('a.png'),
    expires: 2_000_000_000,
    delivery: 'stream',
    download: null,
    variant: null,
  } as const
  const answer = new Response('x', { headers: { 'Cache-Control': 'public', ...headers } })
  const request = new Request('https://links.example/')
  const now = new Date('2026-11-24T12:00:00Z')
  const objects = { ...directObjects({ waitUntil() {} }), open: async () => answer }
  const response = await serveLink(request, policy, testPlace(objects), now)
  return response.headers.get('Cache-Status')
}

it.each([
  ['HIT', 'edge-presigner; hit'],
  ['STALE', 'edge-presigner; hit'],
  ['UPDATING', 'edge-presigner; hit'],
  ['MISS', 'edge-presigner; fwd=uri-miss'],
  ['EXPIRED', 'edge-presigner; fwd=stale'],
  ['REVALIDATED', 'edge-presigner; fwd=stale'],
  ['BYPASS', 'edge-presigner; fwd=bypass'],
  ['DYNAMIC', 'edge-presigner; fwd=bypass'],
])("reports Cloudflare's %s as %s", async (status, told) => {
  expect(await cacheStatus({ 'CF-Cache-Status': status })).toBe(told)
})

it('reports no copy of a response that must not be stored, whatever Cloudflare reports', async () => {
  expect(await cacheStatus({ 'CF-Cache-Status': 'MISS', 'Cache-Control': 'no-store' })).toBe(
    'edge-presigner; fwd=bypass',
  )
  expect(await cacheStatus({})).toBe('edge-presigner; fwd=bypass')
})
