import type { SigningSecret, SigningSettings } from '../../src/access/settings.ts'

/**
 * Returns the settings that sign links, tokens, cursors and upload ids of the instance `name`, from
 * `kid:secret[,kid:secret]`.
 */
export function signingSettings(
  secrets = 'k1:0123456789abcdef0123456789abcdef',
  name = '',
): SigningSettings {
  const [first = toSecret('', name), ...others] = secrets
    .split(',')
    .map((entry) => toSecret(entry, name))
  return { signingSecrets: [first, ...others] }
}

function toSecret(entry: string, name: string): SigningSecret {
  const [kid = '', secret = ''] = entry.split(':')
  return { kid, secret, name }
}
