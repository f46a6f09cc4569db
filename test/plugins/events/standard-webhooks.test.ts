import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { base64 } from '../../../src/keys/encodings.ts'
import { secretBytes, signatureHeaders } from '../../../src/plugins/events/webhook.ts'

const secretOf = (length: number, fill = 7): string =>
  `whsec_${base64(new Uint8Array(length).fill(fill))}`
const OLD = secretOf(32, 1)
const NEW = secretOf(24, 2)
const ID = 'evt_0123456789abcdef'
const BODY = '{"type":"file.recorded","name":"Grüße 🎉.png"}'

describe('the signature of a webhook', () => {
  it('is the one that the specification publishes', async () => {
    const headers = await signatureHeaders(
      ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      '{"test": 2432232314}',
      new Date(1_614_265_330_000),
    )
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  it('is accepted by the package standardwebhooks, with either of two secrets', async () => {
    const headers = await signatureHeaders([OLD, NEW], ID, BODY, new Date())
    expect(headers['webhook-signature']?.split(' ')).toHaveLength(2)
    for (const secret of [OLD, NEW])
      expect(new Webhook(secret).verify(BODY, headers)).toEqual(JSON.parse(BODY))
    expect(() => new Webhook(secretOf(32, 9)).verify(BODY, headers)).toThrow(/signature/)
  })

  it.each([
    ['another body', BODY.replace('recorded', 'deleted'), {}],
    ['another id', BODY, { 'webhook-id': 'evt_other' }],
    ['another time', BODY, { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) + 60) }],
  ])('does not fit %s', async (_, body, changes) => {
    const headers = { ...(await signatureHeaders([OLD], ID, BODY, new Date())), ...changes }
    expect(() => new Webhook(OLD).verify(body, headers)).toThrow(/signature/)
  })

  it('is refused after five minutes by the package', async () => {
    const headers = await signatureHeaders([OLD], ID, BODY, new Date(Date.now() - 301_000))
    expect(() => new Webhook(OLD).verify(BODY, headers)).toThrow(/too old/)
  })
})

describe('a secret', () => {
  it('has 24 to 64 bytes in base64 with padding', () => {
    for (const length of [24, 25, 26, 32, 64])
      expect(secretBytes(secretOf(length))).toHaveLength(length)
  })

  it.each([
    ['too short', secretOf(23)],
    ['too long', secretOf(65)],
    ['without its prefix', OLD.slice('whsec_'.length)],
    ['with another prefix', OLD.replace('whsec_', 'whsk_')],
    ['in base64url', `whsec_${'-_'.repeat(16)}`],
    ['without padding', OLD.replace(/=+$/, '')],
    ['with white space', `${OLD}\n`],
    ['empty', ''],
  ])('is malformed if it is %s', (_, secret) => {
    expect(secretBytes(secret)).toBeNull()
  })
})
