import { PresignerError } from './presigner-error.ts'

const PREFIX = 'edge-presigner-user:'

/** The header with a user's tag, in requests and responses. */
export const USER_TAG = 'X-User-Tag'

/** The tag that the API gave a user. It stays known on this page, so that the user can come back. */
export interface UserTag {
  /** Returns the tag, or null if the page has to ask for it. Throws `user_changed` after another user's. */
  read(): string | null
  /**
   * Keeps the tag of a response to a request with the tag `sent`. The API accepts those of older secrets,
   * and returns the newest one. Throws `user_changed`, until the page is loaded again, if it is the tag of
   * another user. Warns, once, of null: the page can't read the header.
   */
  learn(latest: string | null, sent: string | null): void
  /** Makes pages that are loaded from now on ask for the tag, since the API has refused it. */
  refuse(): void
}

/** What a browser's pages know of a name. The times are those of `Date.now()`, or 0. */
interface Kept {
  readonly tag: string
  /** When it replaced the tag of somebody who may be another user. */
  readonly since: number
  /** When the API refused it. */
  readonly refusedAt: number
  /** When the API gave it to a page with another name. */
  readonly takenAt: number
}

/** Tells whether this page was loaded after `time`, so that it knows who was logged in then. */
const isNewer = (time: number) => time > 0 && performance.timeOrigin > time

/** Returns the tag of `user` at the API. The tabs of a browser share it in localStorage. */
export function userTagOf(baseUrl: string, user: string): UserTag {
  const prefix = `${PREFIX}${baseUrl}#`
  const name = prefix + user
  let tag: string | null = null
  let isKept = false
  let isWarned = false
  let refusal: PresignerError | undefined
  /** Takes the tag of this name, unless this page may ask for another one. */
  const take = () => {
    const kept = load(name)
    if (tag === null && kept?.since && !isNewer(kept.since)) stop()
    tag ??= !kept || isNewer(kept.refusedAt) ? null : kept.tag
    return kept
  }
  const stop = (): never => {
    const message = 'Another user is logged in now. Reload the page.'
    refusal = new PresignerError('user_changed', message, { status: 409 })
    throw refusal
  }
  return {
    read() {
      if (refusal) throw refusal
      take()
      return tag
    },
    learn(latest, sent) {
      if (latest === null) {
        if (!isWarned) console.warn(`${baseUrl}: Its CORS headers must expose ${USER_TAG}.`)
        isWarned = true
        return
      }
      if (isKept && latest === tag) return
      const kept = take()
      // Another tab, or another request, was faster.
      if (sent === null && tag !== null && tag !== latest) stop()
      let isSame = !kept || [latest, sent].includes(kept.tag)
      for (const key of use((storage) => Object.keys(storage)) ?? []) {
        const other = key !== name && key.startsWith(prefix) && load(key)
        if (!other || other.tag !== latest) continue
        isSame = false
        // So that a page with other names for its users can be loaded again.
        if (isNewer(other.takenAt)) continue
        save(key, { ...other, takenAt: Date.now() })
        stop()
      }
      const since = isSame ? (kept?.since ?? 0) : Date.now()
      save(name, { tag: latest, since, refusedAt: 0, takenAt: 0 })
      tag = latest
      isKept = true
    },
    refuse() {
      isKept = false
      const kept = load(name)
      if (kept?.tag === tag) save(name, { ...kept, refusedAt: Date.now() })
    },
  }
}

function load(key: string): Kept | undefined {
  const text = use((storage) => storage.getItem(key))
  if (!text) return undefined
  const [tag = '', ...times] = text.split(' ')
  const [since = 0, refusedAt = 0, takenAt = 0] = times.map(Number)
  return { tag, since, refusedAt, takenAt }
}

const save = (key: string, { tag, since, refusedAt, takenAt }: Kept) =>
  use((storage) => storage.setItem(key, [tag, since, refusedAt, takenAt].join(' ')))

function use<R>(act: (storage: Storage) => R): R | undefined {
  try {
    return act(localStorage)
  } catch {
    return undefined
  }
}
