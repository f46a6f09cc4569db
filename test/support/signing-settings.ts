import type { SigningSecret } from '../../src/access/settings.ts'
import type { TokenSettings } from '../../src/plugins/tokens/token.ts'
import { testBucket } from './test-bucket.ts'

/**
 * Returns the settings that sign links, tokens, cursors and upload ids of the instance `name`, from
 * `kid:secret[,kid:secret]`. There are an API key `ci` and a bucket `files`.
 */
export function signingSettings(
  secrets = 'k1:0123456789abcdef0123456789abcdef',
  name = '',
): TokenSettings {
  const [first = toSecret('', name), ...others] = secrets
    .split(',')
    .map((entry) => toSecret(entry, name))
  const minters = [(id: string) => (id === 'key:ci' ? { prefix: '' } : undefined)]
  const buckets = [testBucket()] as const
  return { signingSecrets: [first, ...others], minters, openOnLocalhost: false, buckets }
}

function toSecret(entry: string, name: string): SigningSecret {
  const [kid = '', secret = ''] = entry.split(':')
  return { kid, secret, name }
}
