/** Returns a function that loads a part of the page when it is first needed. */
export function pagePart<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined
  return () => {
    loading ??= load().catch((cause: unknown) => {
      loading = undefined
      // Offline, or a new version was deployed.
      throw new Error('A part of this page could not be loaded. Reload the page.', { cause })
    })
    return loading
  }
}
