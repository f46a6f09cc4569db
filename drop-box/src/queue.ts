import type { Progress } from '../../client/src/progress.ts'

/** How many files are sent at the same time. The server allows few more to a sender. */
const AT_ONCE = 3

export type State = 'ready' | 'refused' | 'waiting' | 'sending' | 'done' | 'failed' | 'canceled'

/** A file that the visitor has chosen. */
export interface Item {
  readonly file: File
  state: State
  /** Bytes that are sent. */
  loaded: number
  /** What it waits for to pass, or why it failed. */
  error: unknown
  controller: AbortController | undefined
}

export interface Options {
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}

/** Files, a few of which are sent at the same time, in the order in which they were added. */
export interface Queue {
  readonly items: ReadonlySet<Item>
  add(file: File, refused?: Error): Item
  /** Sends all that are ready. */
  start(): void
  retry(item: Item): void
  /** Stops a file. The bucket keeps nothing of it. */
  cancel(item: Item): void
  /** Removes a file. The bucket keeps nothing of it, unless the same file comes again and continues. */
  remove(item: Item, returns?: 'returns'): void
}

/**
 * Returns an empty queue. `changed` is called with each file whose state or progress changed. After an
 * error that `isLast`, the waiting files fail with the same error.
 */
export function createQueue(
  send: (file: File, options: Options) => Promise<unknown>,
  changed: (item: Item) => void,
  isLast: (error: unknown) => boolean = () => false,
): Queue {
  const items = new Set<Item>()

  function change(item: Item, changes: Partial<Item>): void {
    Object.assign(item, changes)
    changed(item)
  }

  function run(): void {
    let active = [...items].filter(({ state }) => state === 'sending').length
    for (const item of items)
      if (item.state === 'waiting' && active < AT_ONCE) {
        active++
        void start(item)
      }
  }

  async function start(item: Item): Promise<void> {
    const controller = new AbortController()
    const { signal } = controller
    change(item, { state: 'sending', controller, loaded: 0, error: undefined })
    const onProgress = ({ loaded, stalled }: Progress) => {
      if (!signal.aborted) change(item, { loaded, error: stalled })
    }
    try {
      await send(item.file, { signal, onProgress })
      if (!signal.aborted) change(item, { state: 'done', loaded: item.file.size, error: undefined })
    } catch (error) {
      if (!signal.aborted) change(item, { state: 'failed', error })
      if (isLast(error))
        for (const one of items)
          if (one.state === 'waiting') change(one, { state: 'failed', error })
    }
    run()
  }

  /** Deletes the parts of an earlier try, as the client does for an upload that is canceled. */
  function dropParts({ file }: Item): void {
    send(file, { signal: AbortSignal.abort(), onProgress() {} }).catch(() => undefined)
  }

  return {
    items,
    add(file, error) {
      const state = error ? 'refused' : 'ready'
      const item: Item = { file, state, loaded: 0, error, controller: undefined }
      items.add(item)
      changed(item)
      return item
    },
    start() {
      for (const item of items) if (item.state === 'ready') change(item, { state: 'waiting' })
      run()
    },
    retry(item) {
      change(item, { state: 'waiting', loaded: 0, error: undefined })
      run()
    },
    cancel(item) {
      if (item.state === 'sending') item.controller?.abort()
      else if (item.controller) dropParts(item)
      change(item, { state: 'canceled', error: undefined })
      run()
    },
    remove(item, returns) {
      if (item.state === 'failed' && !returns) dropParts(item)
      items.delete(item)
      changed(item)
    },
  }
}
