import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { shared } from '../e2e/shared.ts'
import { LOGIN_PROVIDERS, userFilesOf } from './support/identity-page.ts'
import { markedBlock, readPage } from './support/markdown.ts'
import { BROWSER, writeSnippets } from './support/snippets.ts'

const PACKAGES = join(import.meta.dirname, 'identity')
/** How the pages of the other recipes use `file-token.ts`. */
const PRESIGNER = `
import { createClient } from 'edge-presigner-client'
import { currentUser } from './current-user'
import { fileToken } from './file-token'

const baseUrl = 'https://files.example.com'

export const presigner = createClient({ baseUrl, token: fileToken, user: currentUser })
`
const PROVIDER = `
import { Auth0Provider } from '@auth0/auth0-react'
import { auth0 } from './file-token'

export const app = <Auth0Provider client={auth0}>files</Auth0Provider>
`

/** The component for the user, and the one of the recipe for React in it. */
const userFiles = (provider: string) => ({
  'user-files.tsx': userFilesOf(provider),
  'files.tsx': 'export const Files = () => null\n',
})
/** The server that the page describes for Supabase, with the call that it names. */
const [CALL = ''] = /auth\.admin\.[^`]+/.exec(readPage(LOGIN_PROVIDERS)) ?? []
const GRANT = `
import { createClient } from '@supabase/supabase-js'

const { auth } = createClient('https://your-project.supabase.co', 'sb_secret_…')

export async function grantFiles(userId: string): Promise<void> {
  const file_scopes = ['files:upload', 'files:read']
  const { error } = await ${CALL}
  if (error) throw error
}
`

let packages: string
beforeAll(async () => {
  packages = await shared('ownPackages', PACKAGES)
})

it.each<readonly [string, Readonly<Record<string, string>>]>([
  ['clerk', userFiles('clerk')],
  ['auth0', { ...userFiles('auth0'), 'app.tsx': PROVIDER }],
  ['supabase', { 'grant.ts': GRANT }],
])('the files of %s compile with the SDK, and fit into the client', async (provider, more) => {
  const written = writeSnippets(
    {
      'file-token.ts': markedBlock(LOGIN_PROVIDERS, `${provider}-file-token`),
      'current-user.ts': markedBlock(LOGIN_PROVIDERS, 'current-user'),
      'presigner.ts': PRESIGNER,
      ...more,
    },
    {
      packages,
      compilerOptions: { ...BROWSER, types: ['node'], skipLibCheck: true },
    },
  )
  try {
    expect(await written.typeErrors()).toBe('')
  } finally {
    written.remove()
  }
})
