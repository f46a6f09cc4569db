import { createPresigner, defineSettings } from '../../../src/index.ts'
import { type Env, settingsInput } from './settings.ts'

/** The core alone, in an app that checks an API key by its digest. */
export default createPresigner(defineSettings(settingsInput), {
  async authenticate({ env, req }) {
    const token = req.header('Authorization')?.replace(/^Bearer /, '') ?? ''
    return (await isApiKey(token, env)) && { id: 'bench', scopes: ['files:read'], prefix: '' }
  },
})

async function isApiKey(token: string, { API_KEY_SHA256 }: Env): Promise<boolean> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  return crypto.subtle.timingSafeEqual(digest, Uint8Array.fromHex(API_KEY_SHA256))
}
