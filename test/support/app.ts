import { inject } from 'vitest'
import type { SettingsInput } from '../../src/index.ts'
import './provided-context.ts'

/** The origin of an app with a presigner. */
export const ORIGIN = 'https://app.example'

/** What a test changes in settings. */
export type SettingsChanges = Changes<SettingsInput>
type Changes<Input> = Input extends SettingsInput
  ? Omit<Input, 'buckets' | 'signingSecrets'> & Partial<Pick<Input, 'buckets' | 'signingSecrets'>>
  : never

/**
 * Returns the settings of an app with one bucket, "files" in the shared s3rver, with `changes`
 * applied.
 */
export const settingsInput = (changes: SettingsChanges = {}): SettingsInput => ({
  buckets: {
    files: {
      endpoint: inject('s3Endpoint'),
      region: 'us-east-1',
      bucket: 'files',
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    },
  },
  signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
  ...changes,
})

/** Returns the JSON of a response, whatever it contains. */
export const jsonOf = async <T = Record<string, unknown>>(response: Response): Promise<T> =>
  response.json<T>()

/** Uploads `body` through the presigner at `base`, and returns the new key. */
export async function upload(
  app: { post(path: string, body: unknown): Promise<Response> },
  base: string,
  body: BodyInit = 'pixels',
  file: object = { fileName: 'cat.png', mimetype: 'image/png' },
): Promise<string> {
  const response = await app.post(`${base}/files/upload-url`, file)
  if (response.status !== 200) throw new Error(`No URL: ${await response.text()}`)
  const { key, uploadUrl, headers } = await jsonOf<{
    key: string
    uploadUrl: string
    headers: Record<string, string>
  }>(response)
  const put = await fetch(uploadUrl, { method: 'PUT', headers, body })
  if (put.status !== 200) throw new Error(`Not uploaded: ${await put.text()}`)
  return key
}
