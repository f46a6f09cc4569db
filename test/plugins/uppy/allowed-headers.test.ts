import { describe, expect, it } from 'vitest'
import { testWorker } from '../../support/worker.ts'

const APP = 'https://app.example'
const JWT = {
  issuer: 'https://issuer.example',
  audience: 'presigner',
  algorithms: ['ES256'],
  jwksUrl: 'https://issuer.example/jwks.json',
  prefix: '',
  scopes: ['files:upload'],
  header: 'Cf-Access-Jwt-Assertion',
}
const worker = testWorker({ CORS_ORIGINS: [APP], OPEN_ACCESS: undefined, JWT })

/** The OPTIONS request of Uppy 2: fetch without headers or credentials. */
const ask = (path: string, Origin = APP) =>
  worker.fetch(path, { method: 'OPTIONS', headers: { Origin } })

describe('OPTIONS that is not a preflight, as Uppy 2 sends it,', () => {
  it.each(['/s3/params?filename=a', '/s3/multipart', '/u/ept_x/s3/multipart/x/1?key=a'])(
    'for %s returns the headers that the client may send',
    async (path) => {
      const { status, headers } = await ask(path)
      expect(status).toBe(204)
      expect(headers.get('Access-Control-Allow-Origin')).toBe(APP)
      expect(headers.get('Access-Control-Expose-Headers')).toBe('Access-Control-Allow-Headers')
      expect(headers.get('Access-Control-Allow-Headers')?.split(',')).toEqual([
        'accept',
        'authorization',
        'content-type',
        'origin',
        'uppy-auth-token',
        'uppy-credentials-params',
        'uppy-versions',
        'cf-access-jwt-assertion',
      ])
    },
  )

  it('is itself allowed by a preflight', async () => {
    const headers = { Origin: APP, 'Access-Control-Request-Method': 'OPTIONS' }
    const preflight = await worker.fetch('/s3/params', { method: 'OPTIONS', headers })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('Access-Control-Allow-Methods')?.split(',')).toContain('OPTIONS')
  })

  it('returns nothing to a foreign origin or for other routes', async () => {
    const foreign = await ask('/s3/params', 'https://evil.example')
    expect(foreign.status).toBe(401)
    expect(foreign.headers.has('Access-Control-Allow-Headers')).toBe(false)
    const other = await ask('/files')
    expect(other.status).toBe(401)
    expect(other.headers.has('Access-Control-Allow-Headers')).toBe(false)
  })
})
