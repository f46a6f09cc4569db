import { type Client, PresignerError } from '../../client/src/index.ts'
import { isWithoutAnswer } from './error-text.ts'
import { find } from './find.ts'

const PROBE_MILLISECONDS = 2000
const BACK_MILLISECONDS = 4000

type Side = 'Worker' | 'bucket'

/** One line above the uploads, which tells that the page has no connection, and waits for it. */
export interface Connection {
  /** Shows that a request to this side failed, and asks the Worker until it answers. */
  lose(side: Side): void
  /** Shows that the requests continue. */
  restore(): void
}

/** Connects the line to the page. Calls `onBack` when the Worker answers again. */
export function createConnection(client: Client, onBack: () => void): Connection {
  const line = find(document, '#connection', HTMLParagraphElement)
  let lost: Side | undefined
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
    else if (lost) show(`No connection to the ${lost}. Trying again…`)
    else if (line.textContent !== '') {
      show('Connected again.', true)
      cleared = setTimeout(() => show(''), BACK_MILLISECONDS)
    }
  }
  async function probe(): Promise<void> {
    isAsking = false
    const isBack = await answers(client)
    if (!isBack) lost = 'Worker'
    else if (lost === 'Worker') lost = undefined
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
  const lose = (side?: Side) => {
    isAway ||= side !== 'bucket'
    lost = side ?? lost
    showState()
    askLater()
  }

  addEventListener('offline', () => lose())
  addEventListener('online', showState)
  return {
    lose,
    restore() {
      lost = undefined
      showState()
    },
  }
}

/** Tells whether the Worker answers, even if its settings are wrong. */
async function answers(client: Client): Promise<boolean> {
  try {
    await client.request('GET', '/healthz')
    return true
  } catch (error) {
    return error instanceof PresignerError && !isWithoutAnswer(error)
  }
}
