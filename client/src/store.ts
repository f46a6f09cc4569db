/** How often progress is shown, at most. */
const SHOW_MILLISECONDS = 50

/** A state that changes outside of components, as `useSyncExternalStore` expects it. */
export interface Store<T> {
  /** Calls `listener` after each change. Returns a function that ends this. */
  subscribe(listener: () => void): () => void
  /** Returns the same object until the next change. */
  getSnapshot(): T
  /** The state on a server, and before the first change. */
  getServerSnapshot(): T
}

export interface ChangingStore<T> extends Store<T> {
  /** Tells the listeners of a change: now, or `soon`, together with others. */
  changed(soon?: 'soon'): void
}

/** Returns a store whose state `read` computes, once for all listeners and changes in between. */
export function createStore<T>(read: () => T): ChangingStore<T> {
  const listeners = new Set<() => void>()
  const initial = read()
  let snapshot = initial
  let isStale = false
  let timer: ReturnType<typeof setTimeout> | undefined
  const show = () => {
    clearTimeout(timer)
    timer = undefined
    for (const listener of [...listeners]) listener()
  }
  return {
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    getSnapshot() {
      if (isStale) snapshot = read()
      isStale = false
      return snapshot
    },
    getServerSnapshot: () => initial,
    changed(soon) {
      isStale = true
      if (!soon) show()
      else timer ??= setTimeout(show, SHOW_MILLISECONDS)
    },
  }
}
