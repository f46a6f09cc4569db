import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { build } from 'vite'
import { shared } from '../../e2e/shared.ts'
import { markedBlock, ROOT, readPage } from './markdown.ts'
import { ENTRIES, writeSnippets } from './snippets.ts'

/** Who is logged in at the issuer, and in this tab. Other tabs know their user until they are loaded again. */
const LOGIN = `
import { useSyncExternalStore } from 'react'

let user = /\\buser=(\\w+)/.exec(document.cookie)?.[1] ?? null
let token
const listeners = new Set()
export function onUser(listener) {
  listeners.add(listener)
  listener(user)
  return () => listeners.delete(listener)
}
const subscribe = (listener) => {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
globalThis.setUser = (name) => {
  user = name
  token = undefined
  for (const listener of listeners) listener(user)
}
export const currentName = () => user
export const useName = () => useSyncExternalStore(subscribe, currentName)
/** The token in the cache, or one of whoever the browser is logged in as. */
export async function tokenOf(isFresh) {
  if (isFresh || token === undefined) token = await (await fetch('/token')).text()
  return token
}
`

/** In place of each SDK, by its package. */
const SDKS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  clerk: {
    '@clerk/react': `
import { tokenOf, useName } from './login.js'
export const getToken = ({ skipCache }) => tokenOf(skipCache)
export function useUser() {
  const id = useName()
  return { user: id && { id } }
}`,
  },
  auth0: {
    '@auth0/auth0-spa-js': `
import { tokenOf } from './login.js'
export class Auth0Client {
  getTokenSilently = ({ cacheMode }) => tokenOf(cacheMode === 'off')
}`,
    '@auth0/auth0-react': `
import { useName } from './login.js'
export function useAuth0() {
  const sub = useName()
  return { user: sub ? { sub } : undefined }
}`,
  },
  supabase: {
    '@supabase/supabase-js': `
import { currentName, onUser, tokenOf } from './login.js'
const sessionOf = async (isFresh) => ({
  data: { session: currentName() && { access_token: await tokenOf(isFresh) } },
})
export const createClient = () => ({
  auth: {
    getSession: () => sessionOf(false),
    refreshSession: () => sessionOf(true),
    onAuthStateChange: (tell) => onUser((id) => tell('', id && { user: { id } })),
  },
})`,
  },
}

export const LOGIN_PROVIDERS = 'docs/recipes/login-providers.md'

/** Returns the component for the user, as the page tells it for a provider. */
export function userFilesOf(provider: string): string {
  const clerk = markedBlock(LOGIN_PROVIDERS, 'user-files')
  if (provider !== 'auth0') return clerk
  const [, id = ''] =
    /With Auth0, `(useAuth0\(\)[^`]+)` is the id/.exec(readPage(LOGIN_PROVIDERS)) ?? []
  return clerk
    .replace("{ useUser } from '@clerk/react'", "{ useAuth0 } from '@auth0/auth0-react'")
    .replace('useUser().user?.id', id)
}

/** Supabase's page has no component for its user. */
const SUPABASE_FILES = `
import { useEffect, useState } from 'react'
import { supabase } from './file-token'
import { Files } from './files'

export function UserFiles() {
  const [id, setId] = useState('')
  useEffect(() => void supabase.auth.onAuthStateChange((_, session) => setId(session?.user.id ?? '')), [])
  return id ? <Files key={id} /> : null
}
`

/**
 * Builds the page of the recipe for React, with the files for a login provider, and serves it at
 * `port`. `tokenFor` is the issuer. The cookie `user` says who is logged in there.
 */
export async function startIdentityPage(
  name: string,
  { worker, port }: { readonly worker: string; readonly port: number },
  tokenFor: (user: string) => Promise<string>,
): Promise<AsyncDisposable> {
  const source = join(ROOT, 'examples/react-app/src')
  const files: Record<string, string> = {
    'index.html': '<div id="root"></div><script type="module" src="./main.tsx"></script>',
    'login.js': LOGIN,
  }
  for (const file of await readdir(source)) files[file] = await readFile(join(source, file), 'utf8')
  files['file-token.ts'] = markedBlock(LOGIN_PROVIDERS, `${name}-file-token`)
  files['current-user.ts'] = markedBlock(LOGIN_PROVIDERS, 'current-user')
  files['user-files.tsx'] = name === 'supabase' ? SUPABASE_FILES : userFilesOf(name)
  // What the page says to do: the other component, and `end()` before the log-out of the SDK.
  files['main.tsx'] = (files['main.tsx'] ?? '')
    .replace("{ Files } from './files'", "{ UserFiles } from './user-files'")
    .replace('<Files />', '<UserFiles />')
    .replace('presigner.end()', '(presigner.end(), globalThis.setUser(null))')
  const sdk = Object.entries(SDKS[name] ?? {})
  for (const [index, [, code]] of sdk.entries()) files[`sdk-${index}.js`] = code
  const aliases = Object.fromEntries(sdk.map(([sdkName], index) => [sdkName, `sdk-${index}.js`]))
  const packages = await shared('ownPackages', join(ROOT, 'test/docs/recipes')) // with React
  const written = writeSnippets(files, { packages })
  const found = Object.entries(aliases).map(([from, to]) => [from, join(written.directory, to)])
  await build({
    root: written.directory,
    configFile: false,
    logLevel: 'silent',
    define: { 'import.meta.env.VITE_PRESIGNER_URL': JSON.stringify(worker) },
    resolve: {
      dedupe: ['react', 'react-dom'],
      alias: [...Object.entries(ENTRIES), ...found].map(([from = '', to = '']) => ({
        find: new RegExp(`^${from}$`),
        replacement: to,
      })),
    },
  })
  const server = createServer(async ({ url = '/', headers }, response) => {
    const [, user = ''] = /user=(\w+)/.exec(headers.cookie ?? '') ?? []
    if (url === '/token') {
      response.end(await tokenFor(user))
      return
    }
    const path = join(written.directory, 'dist', url === '/' ? 'index.html' : url)
    const content = await readFile(path).catch(() => undefined)
    const type = /\.js$/.test(path)
      ? 'text/javascript'
      : /\.css$/.test(path)
        ? 'text/css'
        : 'text/html'
    response.writeHead(content ? 200 : 404, { 'Content-Type': type }).end(content)
  }).listen(port)
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      written.remove()
    },
  }
}
