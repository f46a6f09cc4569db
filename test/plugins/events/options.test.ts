import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Issue } from '../../../src/errors/api-error.ts'
import { webhooksRule } from '../../../src/plugins/events/options.ts'
import { EVENT_TYPES } from '../../../src/records/file-event.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { readVariable } from '../../../src/worker/variables.ts'
import { fullVariables } from '../../settings/variables.ts'
import { mount } from '../../support/mount.ts'
import { found, scriptedBucket } from '../../support/scripted-bucket.ts'

afterEach(() => void vi.unstubAllGlobals())

const URL = 'https://app.example.com/hooks?token=canary'
/** 24 bytes that are text, so that an issue with the decoded secret would show it too. */
const SECRET = `whsec_${btoa('canary-canary-canary-24b')}`
const OTHER = `whsec_${btoa('another-secret-of-24-byt')}`
const hook = (changes: object = {}) => ({ url: URL, secret: SECRET, ...changes })

/** The endpoints that the plugin reads. */
function load(WEBHOOKS: unknown) {
  const loaded = loadEnvironment({ ...fullVariables(), WEBHOOKS })
  if (!loaded.ok) return loaded.issues
  return readVariable({ WEBHOOKS }, 'WEBHOOKS', webhooksRule).value
}

function issues(WEBHOOKS: unknown): readonly Issue[] {
  const loaded = loadEnvironment({ ...fullVariables(), WEBHOOKS })
  if (loaded.ok) throw new Error('This must not load.')
  const text = JSON.stringify(loaded.issues)
  for (const secret of ['canary', SECRET.slice(6), OTHER.slice(6)])
    expect(text).not.toContain(secret)
  return loaded.issues
}

describe('WEBHOOKS', () => {
  const all = [...EVENT_TYPES]

  it('are all events, or those in the list, for one or two secrets', () => {
    expect(
      load([
        hook(),
        hook({ url: 'https://b.example', secret: [SECRET, OTHER], events: ['file.deleted'] }),
      ]),
    ).toEqual([
      { url: URL, secrets: [SECRET], events: all },
      { url: 'https://b.example/', secrets: [SECRET, OTHER], events: ['file.deleted'] },
    ])
  })

  it('may be JSON text, and may be missing', () => {
    expect(load(JSON.stringify([hook()]))).toHaveLength(1)
    expect(load(undefined)).toBeNull()
    expect(load('')).toBeNull()
  })

  it.each(['http://localhost:3000/hooks', 'http://127.0.0.1:3000/', 'http://[::1]:3000/'])(
    'may use http on this computer, if they are private: %s',
    (url) => {
      expect(load([hook({ url, private: true })])).toEqual([
        { url, secrets: [SECRET], events: all },
      ])
      expect(issues([hook({ url })])).toHaveLength(1)
    },
  )

  // @threat event-diverted
  it.each([
    'localhost',
    'a.localhost.',
    'redis',
    'metadata.google.internal',
    'printer.local',
    'nas.home.arpa',
    '0.0.0.0',
    '10.1.2.3',
    '127.0.0.2',
    '0x7f.1',
    '2130706433',
    '127.0.0.1.',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::]',
    '[::1]',
    '[::ffff:10.0.0.1]',
    '[::ffff:8.8.8.8]',
    '[64:ff9b::a00:1]',
    '[fc00::1]',
    '[fd12:3456::1]',
    '[fe80::1]',
    '[ff02::1]',
    '[2::1]',
    '[2001::1]',
    '[2001:0:1::1]',
    '[2001:db8::1]',
    '[2002:a00:1::1]',
  ])('refuse the private host %s, unless they are private', (host) => {
    const url = `https://${host}/hooks`
    expect(issues([hook({ url })])).toEqual([
      {
        path: 'WEBHOOKS.0',
        message: expect.stringMatching(/private network.*set private to true/),
      },
    ])
    expect(load([hook({ url, private: true })])).toHaveLength(1)
    expect(load([hook({ url, private: false })])).toHaveLength(1)
  })

  it.each([
    'app.example.com',
    'internal.example.com',
    'localhost.example.com',
    'b.example.',
    '8.8.8.8',
    '1.10.0.0',
    '172.15.0.1',
    '172.32.0.1',
    '100.63.0.1',
    '100.128.0.1',
    '192.0.1.1',
    '193.168.0.1',
    '223.255.0.1',
    '[2606:4700::1111]',
    '[2001:4860:4860::8888]',
    '[2a00::1]',
    '[3fff:1::1]',
  ])('may use the public host %s', (host) => {
    expect(load([hook({ url: `https://${host}/hooks` })])).toMatchObject([{ secrets: [SECRET] }])
  })

  // @threat event-diverted
  it.each([
    ['http', 'http://app.example.com/canary', /start with https/],
    ['http on a host that only starts with localhost', 'http://localhost.canary.com/', /https/],
    ['another protocol', 'ftp://app.example.com/canary', /https/],
    ['no URL', '/canary', /must be a URL/],
    ['a password', 'https://user:canary@app.example.com/', /user name, a password/],
    ['a fragment', 'https://app.example.com/#canary', /fragment/],
  ])('refuse a URL with %s', (_, url, message) => {
    expect(issues([hook({ url })])).toEqual([
      { path: 'WEBHOOKS.0.url', message: expect.stringMatching(message) },
    ])
  })

  // @threat secret-printed
  it.each([
    'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', // in the documentation of Standard Webhooks
  ])('refuse the secret %s, which documentation prints', (secret) => {
    for (const value of [secret, [SECRET, secret]])
      expect(issues([hook({ secret: value })])).toMatchObject([
        { message: 'still has a placeholder that documentation prints' },
      ])
  })

  it.each([
    ['missing', undefined, 'secret'],
    ['not base64', 'whsec_canary!', 'secret'],
    ['too short', `whsec_${btoa('canary')}`, 'secret'],
    ['without its prefix', SECRET.slice(6), 'secret'],
    ['an empty list', [], 'secret'],
    ['three secrets', [SECRET, OTHER, `whsec_${btoa('a-third-secret-of-24-byt')}`], 'secret'],
    ['one secret twice', [SECRET, SECRET], 'secret'],
    ['a second that is malformed', [SECRET, 'canary'], 'secret.1'],
  ])('refuse a secret that is %s', (_, secret, path) => {
    expect(issues([hook({ secret })]).map((issue) => issue.path)).toEqual([`WEBHOOKS.0.${path}`])
  })

  it.each([
    ['an unknown event', [hook({ events: ['canary'] })], 'WEBHOOKS.0.events.0'],
    ['no event', [hook({ events: [] })], 'WEBHOOKS.0.events'],
    ['an event twice', [hook({ events: ['file.deleted', 'file.deleted'] })], 'WEBHOOKS.0.events'],
    [
      'an unknown member',
      [hook({ signature: 1 }), hook({ url: 'https://b.example' })],
      'WEBHOOKS.0',
    ],
    ['one URL twice', [hook(), hook({ secret: OTHER })], 'WEBHOOKS'],
    ['11 endpoints', Array.from({ length: 11 }, (_, i) => hook({ url: `${URL}${i}` })), 'WEBHOOKS'],
    ['one endpoint without a list', hook(), 'WEBHOOKS'],
    ['text that is not JSON', 'canary', 'WEBHOOKS'],
  ])('refuse %s', (_, given, path) => {
    const found = issues(given).map((issue) => issue.path)
    expect(found).toEqual([path])
  })

  it.each([
    ['a value', [{ url: URL, secret: SECRET }]],
    ['a function of the environment', () => [{ url: URL, secret: SECRET }]],
  ])('are the option "webhooks" of an app\'s events(): %s', async (_, webhooks) => {
    scriptedBucket({ HeadObject: found(5) })
    const sent: unknown[] = []
    const queue = { sendBatch: async (messages: object[]) => sent.push(...messages) }
    const app = mount({ events: { webhooks, queue } })
    expect((await app.post('/media/files', { key: 'uploads/a.mp4' })).status).toBe(201)
    expect(sent).toMatchObject([
      { body: { kind: 'webhook', body: expect.stringContaining('file.recorded') } },
    ])
  })

  it('are an issue of an app if they are malformed', async () => {
    const app = mount({ events: { webhooks: [hook({ url: 'http://app.example.com/canary' })] } })
    const health = await app.fetch('/media/healthz')
    expect(health.status).toBe(503)
    const text = await health.text()
    expect(JSON.parse(text)).toMatchObject({
      issues: [{ path: 'events.webhooks.0.url', message: 'must start with https://' }],
    })
    expect(text).not.toContain('canary')
  })
})
