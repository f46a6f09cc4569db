import { type Client, PresignerError } from '../../client/src/index.ts'
import { errorText, wantsCredentials } from './error-text.ts'
import { find } from './find.ts'

/** What the page's token allows. */
export interface Permissions {
  /** Without those whose plugin the Worker lacks. */
  readonly scopes: readonly string[]
  /** Whether large files go in parts. */
  readonly multipart: boolean
  /** Whether the records of one index can be copied to another. */
  readonly copiesIndex: boolean
  /** Whether the index answers: search, order, folders and totals. */
  readonly answers: boolean
  /** What the keys of its files start with. */
  readonly prefix: string
  /** The largest file, or null. */
  readonly maxBytes: number | null
  /** Media types such as `image/*`, or null for all. */
  readonly allowedTypes: readonly string[] | null
}

const NOTHING: Permissions = {
  scopes: [],
  multipart: false,
  copiesIndex: false,
  answers: false,
  prefix: '',
  maxBytes: null,
  allowedTypes: null,
}

/** The part of the page that explains why it shows no files or takes none. */
export interface PermissionStates {
  /** Shows only what `permissions` allow. Elements name the scope that they need in `data-needs`. */
  allow(permissions: Permissions, isOpen: boolean): void
  /** Shows nothing but the reason: no valid token, wrong settings, or no Worker. */
  refuse(error: unknown): void
}

/** Connects these states to the page. `onRetry` is called when the user tries again. */
export function createPermissionStates(onRetry: () => void): PermissionStates {
  const state = find(document, '#page-state', HTMLDivElement)
  const title = find(state, 'h3', HTMLHeadingElement)
  const text = find(state, 'div', HTMLDivElement)
  const retry = find(state, 'button', HTMLButtonElement)
  const list = find(document, '#files', HTMLUListElement)
  const open = find(document, '#access-open', HTMLSpanElement)
  const earlier = find(document, '#files-earlier', HTMLDivElement)
  find(earlier, 'p:last-child code', HTMLElement).textContent =
    `npx edge-presigner index copy --from kv --to d1 --url ${location.origin}`
  retry.addEventListener('click', onRetry)
  const show = (heading: string, content: readonly (Node | string)[], canRetry = false) => {
    title.textContent = heading
    text.replaceChildren(...content)
    retry.hidden = !canRetry
    state.hidden = heading === ''
    if (heading !== '') list.setAttribute('aria-busy', 'false')
  }
  const limit = ({ scopes }: Permissions) => {
    document.documentElement.dataset.may = scopes.join(' ')
  }
  return {
    allow(permissions, isOpen) {
      limit(permissions)
      open.hidden = !isOpen
      const { scopes } = permissions
      // An empty list in D1 looks like lost files after a switch.
      earlier.hidden = !permissions.answers || permissions.prefix !== ''
      find(earlier, '#files-copier', HTMLParagraphElement).hidden = permissions.copiesIndex
      if (scopes.includes('files:list')) show('', [])
      else if (scopes.includes('files:upload'))
        show('Only for uploads', ['This token can upload files, but not list them.'])
      else show('Nothing to show', ['This token can neither upload files nor list them.'])
    },
    refuse(error) {
      limit(NOTHING)
      open.hidden = true
      if (wantsCredentials(error))
        show('These files are private', ['Enter a token or an API key to see or upload files.'])
      else show(titleOf(error), errorText(error), true)
    },
  }
}

const titleOf = (error: unknown): string =>
  error instanceof PresignerError && error.code === 'misconfigured'
    ? 'This Worker is not set up yet'
    : 'The files are not available'

/** The plugin without which a scope allows nothing that the page does. */
const PLUGIN_FOR: Readonly<Record<string, string>> = {
  'files:upload': 'files', // which records the upload
  'files:list': 'files',
  'files:delete': 'files',
  'links:create': 'links',
  'grants:create': 'grants',
  'drop-boxes:create': 'dropBoxes',
  'upkeep:read': 'upkeep',
}

/** Asks the Worker what the token allows in the default bucket. No other request finds that out. */
export async function loadPermissions(client: Client): Promise<Permissions> {
  const { scopes, plugins, answers, prefix, buckets } = await client.limits()
  const [first] = buckets
  return {
    scopes: scopes.filter((scope) => {
      const plugin = PLUGIN_FOR[scope]
      return plugin === undefined || plugins.includes(plugin)
    }),
    multipart: plugins.includes('multipart'),
    copiesIndex: plugins.includes('fileAdmin'),
    answers,
    prefix,
    maxBytes: first?.maxBytes ?? null,
    allowedTypes: first?.allowedTypes ?? null,
  }
}
