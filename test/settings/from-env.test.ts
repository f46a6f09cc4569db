import { expect, it } from 'vitest'
import { defineSettings, loadedBy } from '../../src/settings/define.ts'
import { settingsFromEnv } from '../../src/settings/from-env.ts'

const ENV = {
  S3_ENDPOINT: 'https://s3.eu-central-1.amazonaws.com',
  S3_REGION: 'eu-central-1',
  S3_BUCKET: 'acme-files',
  S3_ACCESS_KEY_ID: 'id',
  S3_SECRET_ACCESS_KEY: 'secret',
  SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
}
const load = (env: object, ...more: object[]) =>
  defineSettings(settingsFromEnv({ ...ENV, ...env }, ...more))({}).buckets[0]
const pathsOf = (env: object) => {
  const loaded = loadedBy(defineSettings(settingsFromEnv(env)), {})
  return loaded.ok ? [] : loaded.issues.map(({ path }) => path)
}

it('reads one bucket, the secrets and the base of links from variables', () => {
  const settings = defineSettings(settingsFromEnv({ ...ENV, LINK_BASE: 'https://a.example/media' }))
  expect(settings({})).toMatchObject({
    buckets: [{ alias: 'files', name: 'acme-files', region: 'eu-central-1' }],
    signingSecrets: [{ kid: 'k1' }],
    linkBase: 'https://a.example/media',
  })
  const [bucket] = settings({}).buckets
  expect(bucket.credentials).toMatchObject({ accessKeyId: 'id', secretAccessKey: 'secret' })
  expect(bucket.uploadCredentials).toBe(bucket.credentials)
})

it('signs uploads with the second access key, if there is one', () => {
  const second = { S3_WRITE_ACCESS_KEY_ID: 'writer', S3_WRITE_SECRET_ACCESS_KEY: 'other' }
  expect(load(second)).toMatchObject({
    credentials: { accessKeyId: 'id' },
    uploadCredentials: { accessKeyId: 'writer', secretAccessKey: 'other' },
  })
  expect(load({ S3_WRITE_ACCESS_KEY_ID: '' }).uploadCredentials).toMatchObject({
    accessKeyId: 'id',
  })
})

it('takes more members of the bucket', () => {
  expect(load({}, { maxBytes: 5 })).toMatchObject({ maxBytes: 5, name: 'acme-files' })
})

it('leaves every variable that is missing or empty to defineSettings, which names it', () => {
  const all = [
    ...['endpoint', 'region', 'bucket', 'credentials.accessKeyId', 'credentials.secretAccessKey'],
  ].map((name) => `buckets.files.${name}`)
  expect(pathsOf({})).toEqual([...all, 'signingSecrets'])
  expect(pathsOf({ ...ENV, S3_REGION: '', LINK_BASE: '' })).toEqual(['buckets.files.region'])
  // Not signed by the first access key, which can do more.
  for (const [name, missing] of [
    ['S3_WRITE_ACCESS_KEY_ID', 'secretAccessKey'],
    ['S3_WRITE_SECRET_ACCESS_KEY', 'accessKeyId'],
  ])
    expect(pathsOf({ ...ENV, [`${name}`]: 'x' })).toEqual([
      `buckets.files.uploadCredentials.${missing}`,
    ])
})

it('reads values without the white space around them, as of a file with a secret', () => {
  const spaced = Object.entries(ENV).map(([name, value]) => [name, ` ${value}\n`])
  expect(load(Object.fromEntries(spaced))).toEqual(load({}))
  expect(pathsOf({ ...ENV, S3_SECRET_ACCESS_KEY: ' \n' })).toEqual([
    'buckets.files.credentials.secretAccessKey',
  ])
})

it('signs with a session token, if there is one', () => {
  expect(load({ S3_SESSION_TOKEN: 'token' })).toMatchObject({
    credentials: { sessionToken: 'token' },
  })
})
