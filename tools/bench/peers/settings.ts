import type { SettingsInput } from '../../../src/index.ts'

/** The variables of every peer. */
export interface Env {
  readonly ACCESS_KEY_ID: string
  readonly SECRET_ACCESS_KEY: string
  readonly API_KEY_SHA256: string
}

/** Returns settings for the bucket that all servers of the bench have. */
export const settingsInput = ({ ACCESS_KEY_ID, SECRET_ACCESS_KEY }: Env) =>
  ({
    buckets: {
      files: {
        endpoint: 'https://s3.us-east-1.amazonaws.com',
        region: 'us-east-1',
        bucket: 'acme-files',
        addressing: 'virtual',
        credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
      },
    },
    signingSecrets: `k1:${'0123456789abcdef'.repeat(2)}`,
  }) satisfies SettingsInput
