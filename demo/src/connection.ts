import { type Client, PresignerError } from '../../client/src/index.ts'
import { isFromBucket, isWithoutAnswer, reasonOf } from './error-text.ts'
import { find } from './find.ts'

const PROBE_MILLISECONDS = 2000
/** How long the Worker may take to answer. */
const LONGEST_MILLISECONDS = 5000
const BACK_MILLISECONDS = 4000
const NO_WORKER = 'No connection to the Worker.'

/** One line above the uploads, which tells that requests wait, and for what. */
export interface Connection {
  /** Shows what requests wait for. If that is the Worker, asks it until it answers. */
  lose(error: unknown): void
  /** Shows that the requests continue. */
  restore(): void
}

/** Connects the line to the page. Calls `onBack` when the Worker answers again. */
export function createConnection(client: Client, onBack: () => void): Connection {
  const line = find(document, '#connection', HTMLParagraphElement)
  let reason = ''
  /** Whether the Worker, or the whole network, was out of reach. */
  let isAway = false
  let isAsking = false
  let cleared: ReturnType<typeof setTimeout> | undefined

  const show = (text: string, isBack = false) => {
    clearTimeout(cleared)
    if (line.textContent !== text) line.textContent = text
    line.classList.toggle('is-back', isBack)
  }
  const showState = () => {
    if (!navigator.onLine) show('You are offline. The page continues when you are online again.')
    else if (reason !== '') show(`${reason} Trying again…`)
    else if (line.textContent !== '') {
      show('Connected again.', true)
      cleared = setTimeout(() => show(''), BACK_MILLISECONDS)
    }
  }
  async function probe(): Promise<void> {
    isAsking = false
    const isBack = await answers(client)
    if (!isBack) {
      isAway = true
      reason = NO_WORKER
    } else if (reason === NO_WORKER) reason = ''
    showState()
    if (!isBack) askLater()
    else if (isAway) {
      isAway = false
      dispatchEvent(new Event('online')) // wakes the client's requests that wait for their next try
      onBack()
    }
  }
  const askLater = () => {
    if (!isAsking) setTimeout(probe, PROBE_MILLISECONDS)
    isAsking = true
  }

  addEventListener('offline', () => {
    isAway = true
    showState()
    askLater()
  })
  addEventListener('online', showState)
  return {
    lose(error) {
      const isLost = isWithoutAnswer(error)
      const isBucket = isLost && isFromBucket(error)
      isAway ||= isLost && !isBucket
      reason = isBucket ? 'No connection to the bucket.' : isLost ? NO_WORKER : reasonOf(error)
      showState()
      if (isLost) askLater()
    },
    restore() {
      reason = ''
      showState()
    },
  }
}

/** Tells whether the Worker answers, even if its settings are wrong. */
async function answers(client: Client): Promise<boolean> {
  try {
    await client.request('GET', '/healthz', { signal: AbortSignal.timeout(LONGEST_MILLISECONDS) })
    return true
  } catch (error) {
    return error instanceof PresignerError && !isWithoutAnswer(error)
  }
}
