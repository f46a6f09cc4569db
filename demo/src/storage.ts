/** A text that a Storage keeps under one name, or only this page where the browser refuses. */
export interface KeptText {
  get(): string
  set(text: string): void
}

/** `storage` is a function, since a browser may throw where it is only named. */
export function keptText(storage: () => Storage, name: string): KeptText {
  let kept = ''
  try {
    kept = storage().getItem(name) ?? ''
  } catch {
    // cookies are blocked: it lasts as long as this page
  }
  return {
    get: () => kept,
    set(text) {
      kept = text
      try {
        if (text === '') storage().removeItem(name)
        else storage().setItem(name, text)
      } catch {
        // as above
      }
    },
  }
}
