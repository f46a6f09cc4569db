import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { apiKeysRule } from '../../src/plugins/api-keys/options.ts'
import { webhooksRule } from '../../src/plugins/events/options.ts'
import { notificationSecretsRule } from '../../src/plugins/notifications/notification-secret.ts'
import { signingSecretsRule } from '../../src/settings/define.ts'
import { accessKey, check, type Rule } from '../../src/settings/rules.ts'
import { ROOT, readPage } from './support/markdown.ts'

const accepts =
  (rule: Rule<unknown>, wrap: (text: string) => unknown = (text) => text) =>
  (text: string): boolean =>
    check(rule, wrap(text)).ok

const isSigning = accepts(signingSecretsRule)
const isNotification = accepts(notificationSecretsRule)
const isAccessKey = accepts(accessKey)
const isWebhook = accepts(webhooksRule, (secret) => [{ url: 'https://a.example/', secret }])
const isDigest = accepts(apiKeysRule(null), (sha256) => [
  { id: 'a', sha256, scopes: ['files:read'], prefix: '' },
])

/** A value behind a name: `NAME=value`, `"name": "value"`, `name: 'value'`. Code is no value. */
const behind = (names: string): RegExp =>
  new RegExp(`(?:${names})(?:=["']?|["']? ?[:=] ?["'\`])([^\\s"'\`,$…]+)`, 'g')

/** How the documentation would print each kind of secret, and whether the settings accept one. */
const KINDS: readonly (readonly [string, RegExp, (text: string) => boolean])[] = [
  ['signing secrets by name', behind('SIGNING_SECRETS?|signingSecrets'), isSigning],
  ['signing secrets', /(?<![\w/.%-])([A-Za-z0-9-]{1,16}:(?=\S*\d)[\w.~+=-]{32,})/g, isSigning],
  ['notification secrets', behind('NOTIFICATION_SECRETS?|notificationSecrets'), isNotification],
  ['webhook secrets', /(whsec_[\w+/=-]{8,})/g, isWebhook],
  [
    'access keys',
    behind('\\w*ACCESS_KEY(?:_ID)?|accessKeyId|secretAccessKey|sessionToken'),
    isAccessKey,
  ],
  ['digests of API keys', behind('sha256'), isDigest],
  ['API keys', /(\bep_[a-z0-9-]+_[\w-]{20,})/g, () => true],
]

/** Values that look random, and are no secrets. */
const HARMLESS = [
  'CINt1FsgDkdQhTxLX5CXzyqW2TPRImdDNQ5B0j0NJlw', // the signature of a link
  '9dd4e461268c8034f5c8564e155c67a6', // an ETag
  '4598ac794eaa5ca01c10c2fdbad11996', // the public id of a grant
  '0f1e5a3bd7c92f6480b1c4f29ad3e715', // the public id of a drop box
  '0123456789abcdef0123456789abcdef', // an account of Cloudflare
  '32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c4228', // an audience of Cloudflare Access
]
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Every page, example and sample of the repository, except measurements and its own history. */
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: ROOT })
  .toString()
  .split('\n')
  .filter((path) => /\.(?:md|example|toml|json|ya?ml)$|^(?:examples|demo)\/.*\.[jt]sx?$/.test(path))
  .filter((path) => !/^(?:test|tools\/bench|\.github)\/|package-lock\.json$/.test(path))
  .filter((path) => !/^docs\/(?:maintainers\/performance|images)/.test(path))

// @threat secret-printed
it.each(KINDS)('the settings refuse what is printed instead of %s', (_, pattern, isAccepted) => {
  const accepted = files.flatMap((path) =>
    [...readPage(path).matchAll(pattern)]
      .map(([, value = '']) => value)
      .filter(isAccepted)
      .map((value) => `${path}: ${value}`),
  )
  expect(accepted).toEqual([])
})

it('prints nothing else that looks like a secret', () => {
  const random = files.flatMap((path) =>
    [...readPage(path).matchAll(/(?<![\w/.%~+-])([\w~+-]{32,128})(?![\w/.%~+])/g)]
      .map(([, value = '']) => value)
      // Words have few digits.
      .filter((value) => (value.match(/\d/g) ?? []).length >= 6 && !UUID.test(value))
      .map((value) => [path, value] as const),
  )
  const unknown = random.filter(([, value]) => !HARMLESS.includes(value))
  expect(unknown).toEqual([])
  const seen = random.map(([, value]) => value)
  for (const value of HARMLESS) expect.soft(seen, 'is still printed').toContain(value)
})

it('finds each kind of secret in each way to write it', () => {
  const secret = 'k1:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c'
  const found = (text: string) =>
    KINDS.filter(([, pattern, isAccepted]) =>
      [...text.matchAll(pattern)].some(([, value = '']) => isAccepted(value)),
    ).map(([kind]) => kind)
  expect(found(`SIGNING_SECRETS=${secret}`)).toContain('signing secrets by name')
  expect(found(`signingSecrets: '${secret}'`)).toContain('signing secrets by name')
  expect(found(`echo ${secret} |`)).toEqual(['signing secrets'])
  expect(found(`NOTIFICATION_SECRETS="${secret.slice(3)}"`)).toEqual(['notification secrets'])
  expect(found(`"secret": "whsec_${btoa('x'.repeat(32))}"`)).toEqual(['webhook secrets'])
  expect(found('S3_SECRET_ACCESS_KEY=abc')).toEqual(['access keys'])
  expect(found("credentials: { accessKeyId: 'abc' }")).toEqual(['access keys'])
  expect(found(`"sha256": "${'ab'.repeat(32)}"`)).toEqual(['digests of API keys'])
  expect(found(`Bearer ep_ci_${'x'.repeat(43)}`)).toEqual(['API keys'])
})
