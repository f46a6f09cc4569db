import { PresignerError } from './presigner-error.ts'

const PREFIX = 'edge-presigner-user:'

/** The header with a user's tag, in requests and responses. */
export const USER_TAG = 'X-User-Tag'

/** The tag that the API gave a user. It stays known on this page, so that the user can come back. */
export interface UserTag {
  /** Returns the tag, or null if nobody has asked for it. Throws `user_changed` if it was another user's. */
  read(): string | null
  /**
   * Keeps the tag of a response. The API accepts those of older secrets, and returns the newest one.
   * Throws `user_changed`, and keeps nothing, if it is the tag of another user. Warns, once, of null: the
   * page can't read the header.
   */
  learn(latest: string | null): void
  /** Makes other tabs, and this one when it is loaded again, ask for the tag. */
  forget(): void
}

/** Returns the tag of `user` at the API. The tabs of a browser share it in localStorage. */
export function userTagOf(baseUrl: string, user: string): UserTag {
  const name = `${PREFIX}${baseUrl}#${user}`
  let tag: string | null = null
  let isKept = false
  let isWarned = false
  let refusal: PresignerError | undefined
  return {
    read() {
      tag ??= use((storage) => storage.getItem(name)) ?? null
      if (tag === null && refusal) throw refusal
      return tag
    },
    learn(latest) {
      if (latest === null) {
        if (!isWarned) console.warn(`${baseUrl}: Its CORS headers must expose ${USER_TAG}.`)
        isWarned = true
        return
      }
      if (isKept && latest === tag) return
      const isOther = (key: string) =>
        key !== name &&
        key.startsWith(`${PREFIX}${baseUrl}#`) &&
        localStorage.getItem(key) === latest
      const other = use((storage) => Object.keys(storage).find(isOther))
      // So that a page with other names for its users can be loaded again.
      use((storage) => (other ? storage.removeItem(other) : storage.setItem(name, latest)))
      if (other) {
        const message = 'Another user is logged in now. Reload the page.'
        refusal = new PresignerError('user_changed', message, { status: 409 })
        throw refusal
      }
      tag = latest
      isKept = true
    },
    forget() {
      isKept = false
      use((storage) => storage.removeItem(name))
    },
  }
}

function use<R>(act: (storage: Storage) => R): R | undefined {
  try {
    return act(localStorage)
  } catch {
    return undefined
  }
}
