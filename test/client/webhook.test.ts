import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { verifyWebhook } from '../../client/src/server/webhook.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { signatureHeaders } from '../../src/plugins/events/webhook.ts'
import { eventBody, type FileEvent } from '../../src/records/file-event.ts'

const NOW = new Date('2026-11-25T12:00:00Z')
const secretOf = (byte: number): string =>
  `whsec_${btoa(String.fromCharCode(...new Uint8Array(24).fill(byte)))}`
const [OLD, NEW, OTHER] = [secretOf(1), secretOf(2), secretOf(3)]
const key = parseObjectKey('uploads/ä.png')
const ACTOR = { principal: 'key:app/alice', subject: 'alice', context: { plan: 'pro' } }
const FILE = {
  ...{ key, bucket: 'files', name: 'ä.png', size: 5, mimetype: 'image/png', etag: '"e"' },
  ...{ owner: 'key:app/alice', createdAt: NOW.toISOString() },
}
const timestamp = NOW.toISOString()
const RECORDED: FileEvent = { type: 'recorded', file: FILE, ...ACTOR, timestamp }
const BODY = eventBody(RECORDED)

/** Returns a webhook as the Worker sends it. */
const sent = async (body = BODY, secrets: readonly string[] = [OLD], now = NOW) => ({
  headers: await signatureHeaders(secrets, 'evt_1', body, now),
  body,
})
const refusal = (reason: string) => ({ code: 'invalid_webhook', reason, retryable: false })

beforeEach(() => {
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('verifyWebhook', () => {
  it.each<FileEvent>([
    RECORDED,
    { ...RECORDED, type: 'replaced', principal: null, subject: null, context: null },
    { type: 'deleted', file: { bucket: 'files', key }, ...ACTOR, timestamp },
  ])('returns the event of type $type', async (event) => {
    const { type, timestamp, ...data } = event
    expect(await verifyWebhook(await sent(eventBody(event)), OLD)).toEqual({
      id: 'evt_1',
      type: `file.${type}`,
      timestamp,
      data,
    })
  })

  it('accepts what the package standardwebhooks signs', async () => {
    const headers = {
      'Webhook-Id': 'evt_2',
      'Webhook-Timestamp': String(NOW.getTime() / 1000),
      'Webhook-Signature': new Webhook(NEW).sign('evt_2', NOW, BODY),
    }
    expect(await verifyWebhook({ headers, body: BODY }, NEW)).toMatchObject({ id: 'evt_2' })
  })

  it('reads a Request, Headers, and a body in bytes', async () => {
    const { headers, body } = await sent()
    const request = new Request('https://app.example.com', { method: 'POST', headers, body })
    const bytes = { headers: new Headers(headers), body: new TextEncoder().encode(body) }
    for (const one of [request, bytes])
      expect(await verifyWebhook(one, OLD)).toMatchObject({ data: { file: { name: 'ä.png' } } })
  })

  it('accepts any of several secrets and signatures', async () => {
    await verifyWebhook(await sent(BODY, [OLD, NEW]), NEW)
    await verifyWebhook(await sent(BODY, [NEW]), [OLD, NEW])
    const webhook = await sent()
    webhook.headers['webhook-signature'] = `v1a,x v1,%% ${webhook.headers['webhook-signature']}`
    await verifyWebhook(webhook, OLD)
  })

  // @threat event-forged
  it('refuses another secret, body, id or timestamp', async () => {
    const forged = [
      { webhook: await sent(), secret: OTHER },
      { webhook: { ...(await sent()), body: BODY.replace('alice', 'mallory') }, secret: OLD },
    ]
    const { headers, body } = await sent()
    const later = String(NOW.getTime() / 1000 + 1)
    for (const change of [{ 'webhook-id': 'evt_2' }, { 'webhook-timestamp': later }])
      forged.push({ webhook: { headers: { ...headers, ...change }, body }, secret: OLD })
    for (const { webhook, secret } of forged)
      await expect(verifyWebhook(webhook, secret)).rejects.toMatchObject(refusal('signature'))
  })

  // @threat event-forged
  it.each([-300, 300])('accepts a clock that is %i seconds off, and no more', async (seconds) => {
    const at = (offset: number) => new Date(NOW.getTime() + offset * 1000)
    await verifyWebhook(await sent(BODY, [OLD], at(seconds)), OLD)
    const beyond = await sent(BODY, [OLD], at(seconds + Math.sign(seconds)))
    await expect(verifyWebhook(beyond, OLD)).rejects.toMatchObject(refusal('timestamp'))
    await verifyWebhook(beyond, OLD, { tolerance: 301 })
  })

  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])(
    'refuses a request without %s',
    async (name) => {
      const { headers, body } = await sent()
      for (const value of [undefined, '', ['a', 'b']]) {
        const webhook = { headers: { ...headers, [name]: value }, body }
        await expect(verifyWebhook(webhook, OLD)).rejects.toMatchObject(refusal('headers'))
      }
    },
  )

  it.each(['now', '1e9', '-1', 'Infinity'])('refuses the timestamp %s', async (timestamp) => {
    const webhook = await sent()
    webhook.headers['webhook-timestamp'] = timestamp
    await expect(verifyWebhook(webhook, OLD)).rejects.toMatchObject(refusal('headers'))
  })

  // @threat event-forged
  it('refuses a signature of another version, and reads at most 20', async () => {
    const { headers, body } = await sent()
    const { 'webhook-signature': signature = '', ...others } = headers
    const signed = (signatures: string) =>
      verifyWebhook({ headers: { ...others, 'webhook-signature': signatures }, body }, OLD)
    await signed(`${'v1,AAAA '.repeat(19)}${signature}`)
    for (const signatures of [
      signature.replace('v1,', 'v2,'),
      `${'v1,AAAA '.repeat(20)}${signature}`,
    ])
      await expect(signed(signatures)).rejects.toMatchObject(refusal('signature'))
  })

  it('refuses every timestamp if the tolerance is not a number', async () => {
    const verified = verifyWebhook(await sent(), OLD, { tolerance: Number.NaN })
    await expect(verified).rejects.toMatchObject(refusal('timestamp'))
  })

  it('refuses a signed body that is not an event, and passes on unknown types', async () => {
    const strange = ['', '[]', '{"type":"file.recorded"}', BODY.replace('"size":5', '"size":"5"')]
    for (const body of strange)
      await expect(verifyWebhook(await sent(body), OLD)).rejects.toMatchObject(refusal('body'))
    for (const type of ['file.seen', 'constructor']) {
      const body = JSON.stringify({ type, timestamp: NOW.toISOString(), data: {} })
      expect(await verifyWebhook(await sent(body), OLD)).toMatchObject({ type })
    }
  })

  it('says which argument is wrong', async () => {
    const webhook = await sent()
    for (const secrets of ['', 'whsec_', 'whsec_%', [], [OLD, '']])
      await expect(verifyWebhook(webhook, secrets)).rejects.toMatchObject({
        code: 'invalid_options',
        message: expect.stringMatching(/secret/i),
      })
    const parsed = Object({ ...webhook, body: JSON.parse(BODY) })
    await expect(verifyWebhook(parsed, OLD)).rejects.toMatchObject({
      code: 'invalid_options',
      message: expect.stringMatching(/not parsed JSON/),
    })
  })
})
