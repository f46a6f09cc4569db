const PREFIX = 'edge-presigner-user:'

/** What a browser knows of a user: the tag that the API gave. Its tabs share it. */
export interface UserTag {
  read(): string | null
  /** Keeps a tag of the API. Returns false, and forgets it, if it is the one of another user. */
  save(tag: string): boolean
  forget(): void
}

/** Returns the tag of `user` at the API. Without localStorage, each client only knows its own. */
export function userTagOf(baseUrl: string, user: string): UserTag {
  const name = `${PREFIX}${baseUrl}#${user}`
  return {
    read: () => use((storage) => storage.getItem(name)) ?? null,
    save(tag) {
      const isOther = (key: string) =>
        key !== name && key.startsWith(`${PREFIX}${baseUrl}#`) && localStorage.getItem(key) === tag
      const other = use((storage) => Object.keys(storage).find(isOther))
      // So that a page with other names for its users can be loaded again.
      use((storage) => (other ? storage.removeItem(other) : storage.setItem(name, tag)))
      return other === undefined
    },
    forget: () => use((storage) => storage.removeItem(name)),
  }
}

function use<R>(act: (storage: Storage) => R): R | undefined {
  try {
    return act(localStorage)
  } catch {
    return undefined
  }
}
