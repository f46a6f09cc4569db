import { createServerClient } from 'edge-presigner-client/server'

/** Creates a token for one user. Runs only on your server, because a page must not get the key. */
export async function mintFileToken(userId: string): Promise<string> {
  if (!userId) throw new Error('mintFileToken needs the id of a user.')
  const presigner = createServerClient({
    baseUrl: process.env.PRESIGNER_URL ?? 'http://localhost:8787',
    apiKey: process.env.PRESIGNER_KEY, // `edge-presigner dev` needs none
  })
  const { token } = await presigner.tokens.create({
    scopes: ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create'],
    prefix: `users/${encodeURIComponent(userId)}/`,
    subject: userId, // has its own rate limit, and is the owner of the files
    maxBytes: 100_000_000,
    allowedTypes: ['image/jpeg', 'image/png', 'image/webp', 'application/pdf', 'text/plain'],
    expiresIn: 600,
  })
  return token
}
