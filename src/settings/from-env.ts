import { VARIABLES, type Variables } from './define.ts'
import type { BucketInput, SettingsInput } from './input.ts'

type OneBucket = SettingsInput & { readonly buckets: { readonly files: BucketInput } }

/** The variables, by the paths of the settings. */
const NAMES = {
  'buckets.files.endpoint': 'S3_ENDPOINT',
  'buckets.files.region': 'S3_REGION',
  'buckets.files.bucket': 'S3_BUCKET',
  'buckets.files.credentials.accessKeyId': 'S3_ACCESS_KEY_ID',
  'buckets.files.credentials.secretAccessKey': 'S3_SECRET_ACCESS_KEY',
  'buckets.files.uploadCredentials.accessKeyId': 'S3_WRITE_ACCESS_KEY_ID',
  'buckets.files.uploadCredentials.secretAccessKey': 'S3_WRITE_SECRET_ACCESS_KEY',
  signingSecrets: 'SIGNING_SECRETS',
  linkBase: 'LINK_BASE',
}

/**
 * Returns the settings of one bucket, `files`, from the variables `S3_ENDPOINT`, `S3_REGION`, `S3_BUCKET`,
 * `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY`, `SIGNING_SECRETS` and `LINK_BASE`. With
 * `S3_WRITE_ACCESS_KEY_ID` and `S3_WRITE_SECRET_ACCESS_KEY`, uploads are signed by that access key. Temporary
 * access keys also have `S3_SESSION_TOKEN` and `S3_WRITE_SESSION_TOKEN`.
 * `bucket` has more members of the bucket, such as `maxBytes`. `defineSettings` reports what is missing.
 */
export function settingsFromEnv(env: object, bucket: Partial<BucketInput> = {}): OneBucket {
  const text = (name: string): string | undefined => {
    const value: unknown = Reflect.get(env, name)
    // A file of secrets often ends with a line break, which no value may contain.
    return (typeof value === 'string' && value.trim()) || undefined
  }
  const accessKey = (name: string) => ({
    accessKeyId: text(`${name}_ACCESS_KEY_ID`) ?? '',
    secretAccessKey: text(`${name}_SECRET_ACCESS_KEY`) ?? '',
    sessionToken: text(`${name}_SESSION_TOKEN`),
  })
  const hasSecond = ['ACCESS_KEY_ID', 'SECRET_ACCESS_KEY'].some((name) => text(`S3_WRITE_${name}`))
  // The app has given these itself.
  const isOwn = (path: string) =>
    Object.keys(bucket).some((name) => path.startsWith(`buckets.files.${name}`))
  const variables: Variables = {
    names: Object.fromEntries(Object.entries(NAMES).filter(([path]) => !isOwn(path))),
    missing: Object.values(NAMES).filter((name) => text(name) === undefined),
  }
  const settings: OneBucket = {
    buckets: {
      files: {
        endpoint: text('S3_ENDPOINT') ?? '',
        region: text('S3_REGION') ?? '',
        bucket: text('S3_BUCKET') ?? '',
        credentials: accessKey('S3'),
        uploadCredentials: hasSecond ? accessKey('S3_WRITE') : undefined,
        ...bucket,
      },
    },
    signingSecrets: text('SIGNING_SECRETS') ?? '',
    linkBase: text('LINK_BASE'),
  }
  return Object.assign(settings, { [VARIABLES]: variables })
}
