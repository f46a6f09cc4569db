interface Env {
  API_KEY_SHA256: string
  RATE_LIMITER: RateLimit
}

/**
 * Only what `GET /files/:key/url` needs, without a router, checks and a URL: an API key's digest,
 * the rate limit, the digest and HMAC of a signed URL, a response of the same size with the same
 * headers, and a log line.
 */
export default {
  async fetch(request, env) {
    const token = request.headers.get('Authorization')?.slice('Bearer '.length) ?? ''
    const digest = await crypto.subtle.digest('SHA-256', encoder.encode(token))
    const isKnown = crypto.subtle.timingSafeEqual(digest, Uint8Array.fromHex(env.API_KEY_SHA256))
    const { success } = await env.RATE_LIMITER.limit({ key: 'principal key:bench' })
    if (!isKnown || !success) return new Response(null, { status: 401 })

    const canonical = await crypto.subtle.digest('SHA-256', encoder.encode(CANONICAL_REQUEST))
    const text = encoder.encode(SCOPE + new Uint8Array(canonical).toHex())
    const mac = await crypto.subtle.sign('HMAC', await signingKey(), text)
    const requestId = crypto.randomUUID()
    const body = { url: URL_START + new Uint8Array(mac).toHex(), expiresIn: 900 }
    console.log(JSON.stringify({ requestId, method: 'GET', status: 200, principal: 'key:bench' }))
    return Response.json(body, {
      headers: {
        'Cache-Control': 'no-store',
        'Referrer-Policy': 'no-referrer',
        Vary: 'Origin',
        'X-Content-Type-Options': 'nosniff',
        'X-Request-Id': requestId,
      },
    })
  },
} satisfies ExportedHandler<Env>

const encoder = new TextEncoder()
const URL_START = `https://acme-files.s3.us-east-1.amazonaws.com/${'x'.repeat(320)}`
const CANONICAL_REQUEST = 'x'.repeat(420)
const SCOPE = 'x'.repeat(75)

let key: Promise<CryptoKey> | undefined

function signingKey(): Promise<CryptoKey> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  key ??= crypto.subtle.importKey('raw', new Uint8Array(32), algorithm, false, ['sign'])
  return key
}
