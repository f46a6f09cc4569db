/** A text that a Storage keeps under one name. If the browser refuses, only this page keeps it. */
export interface KeptText {
  get(): string
  set(text: string): void
}

/** Reads the text. `storage` is a function, since a browser may throw on access to the Storage. */
export function keptText(storage: () => Storage, name: string): KeptText {
  let kept = ''
  try {
    kept = storage().getItem(name) ?? ''
  } catch {
    // The user blocks cookies: the text is lost when the page closes.
  }
  return {
    get: () => kept,
    set(text) {
      kept = text
      try {
        if (text === '') storage().removeItem(name)
        else storage().setItem(name, text)
      } catch {
        // The user blocks cookies: only this page keeps the text.
      }
    },
  }
}
