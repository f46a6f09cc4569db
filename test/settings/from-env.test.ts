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
const issuesOf = (env: object) => {
  const loaded = loadedBy(defineSettings(settingsFromEnv(env)), {})
  return loaded.ok ? [] : loaded.issues
}
const pathsOf = (env: object) => issuesOf(env).map(({ path }) => path)

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

it('has defineSettings name every variable that is missing or empty', () => {
  expect(issuesOf({})).toEqual(
    [
      ...['S3_ENDPOINT', 'S3_REGION', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'],
      'SIGNING_SECRETS',
    ].map((path) => ({ path, message: 'is missing' })),
  )
  expect(pathsOf({ ...ENV, S3_REGION: '', LINK_BASE: '' })).toEqual(['S3_REGION'])
  // Not signed by the first access key, which can do more.
  for (const [name, missing] of [
    ['S3_WRITE_ACCESS_KEY_ID', 'S3_WRITE_SECRET_ACCESS_KEY'],
    ['S3_WRITE_SECRET_ACCESS_KEY', 'S3_WRITE_ACCESS_KEY_ID'],
  ])
    expect(pathsOf({ ...ENV, [`${name}`]: 'x' })).toEqual([missing])
})

it('names an invalid variable, and says what is wrong with it', () => {
  const invalid = { ...ENV, S3_ENDPOINT: 'acme', SIGNING_SECRETS: 'k1:short', LINK_BASE: '/media' }
  expect(issuesOf(invalid)).toEqual([
    { path: 'S3_ENDPOINT', message: expect.stringContaining('must be a URL') },
    { path: 'SIGNING_SECRETS', message: expect.stringContaining('must be kid:secret') },
    { path: 'LINK_BASE', message: expect.stringContaining('must be an origin and a path') },
  ])
  // What the app has written itself keeps its path, also next to variables.
  const settings = { ...settingsFromEnv(ENV, { maxBytes: -1 }), corsOrigins: ['nowhere'] }
  const loaded = loadedBy(defineSettings(settings), {})
  expect(loaded.ok ? [] : loaded.issues.map(({ path }) => path)).toEqual([
    'buckets.files.maxBytes',
    'corsOrigins.0',
  ])
})

it('reads values without the white space around them, as of a file with a secret', () => {
  const spaced = Object.entries(ENV).map(([name, value]) => [name, ` ${value}\n`])
  expect(load(Object.fromEntries(spaced))).toEqual(load({}))
  expect(pathsOf({ ...ENV, S3_SECRET_ACCESS_KEY: ' \n' })).toEqual(['S3_SECRET_ACCESS_KEY'])
})

it('signs with a session token, if there is one', () => {
  expect(load({ S3_SESSION_TOKEN: 'token' })).toMatchObject({
    credentials: { sessionToken: 'token' },
  })
})

it('names no variable for what the app has given itself', () => {
  const own = settingsFromEnv(ENV, { region: 'not a region' })
  const loaded = loadedBy(defineSettings(own), {})
  expect(loaded.ok ? [] : loaded.issues.map(({ path }) => path)).toEqual(['buckets.files.region'])
})
