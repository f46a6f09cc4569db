import type { SigningSecret, SigningSettings } from '../../src/access/settings.ts'

/** What signs links, tokens, cursors and upload ids, from `kid:secret[,kid:secret]`. */
export function signingSettings(secrets = 'k1:0123456789abcdef0123456789abcdef'): SigningSettings {
  const [first = { kid: '', secret: '' }, ...others] = secrets.split(',').map(toSecret)
  return { signingSecrets: [first, ...others] }
}

function toSecret(entry: string): SigningSecret {
  const [kid = '', secret = ''] = entry.split(':')
  return { kid, secret }
}
