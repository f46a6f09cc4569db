import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { shared } from '../e2e/shared.ts'
import { markedBlock } from './support/markdown.ts'
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

/** The component of a page, and the one of the recipe for React in it. */
const userFiles = (page: string) => ({
  'user-files.tsx': markedBlock(`docs/recipes/${page}.md`, 'user-files'),
  'files.tsx': 'export const Files = () => null\n',
})

let packages: string
beforeAll(async () => {
  packages = await shared('ownPackages', PACKAGES)
})

it.each<readonly [string, Readonly<Record<string, string>>]>([
  ['clerk', userFiles('clerk')],
  ['auth0', { ...userFiles('auth0'), 'app.tsx': PROVIDER }],
  ['supabase', { 'grant.ts': markedBlock('docs/recipes/supabase.md', 'grant') }],
])('the files of %s compile with the SDK, and fit into the client', async (page, more) => {
  const written = writeSnippets(
    {
      'file-token.ts': markedBlock(`docs/recipes/${page}.md`, 'file-token'),
      'current-user.ts': markedBlock(`docs/recipes/${page}.md`, 'current-user'),
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
