import './upkeep.css'
import { element } from '../element.ts'
import { find } from '../find.ts'
import { type BucketStatus, type Counts, statusIn, type UpkeepStatus } from './status.ts'
import {
  doneInWords,
  foundInWords,
  lastInWords,
  modeInWords,
  stateInWords,
  stopInWords,
  waitingInWords,
} from './upkeep-words.ts'

const COMMAND = 'npx edge-presigner'

/** The section about upkeep. */
export interface UpkeepPart {
  /** Shows what `GET /upkeep` has answered. Without it, and before the first run, hides the section. */
  show(answer?: unknown): void
}

/** Adds the section to the page. `onRefresh` asks the Worker again. Resolves with whether it answered. */
export function createUpkeepPart(onRefresh: () => Promise<boolean>): UpkeepPart {
  const title = element('h2', { id: 'upkeep-title' }, 'Upkeep')
  const state = element('span', { className: 'upkeep-state' })
  const content = element('div', { className: 'upkeep-content' })
  const said = element('p', { className: 'hint', role: 'status' })
  const refresh = element('button', { type: 'button', className: 'secondary' }, 'Look again')
  const details = element(
    'details',
    {},
    element('summary', {}, title, state),
    content,
    element('div', { className: 'upkeep-again' }, refresh, said),
  )
  const section = element('section', { id: 'upkeep', className: 'upkeep', hidden: true }, details)
  section.setAttribute('aria-labelledby', title.id)
  find(document, '.steps', HTMLElement).before(section)
  let isAsking = false
  refresh.addEventListener('click', async () => {
    if (isAsking) return
    isAsking = true
    said.textContent = ''
    const hasAnswered = await onRefresh()
    isAsking = false
    said.textContent = hasAnswered ? 'This is up to date.' : 'No answer. Try again later.'
  })
  return {
    show(answer) {
      const status = statusIn(answer)
      const words = status === null ? '' : stateInWords(status)
      section.hidden = words === ''
      if (status === null) return
      const isStopped = status.buckets.some(({ stopped }) => stopped !== null)
      section.classList.toggle('is-stopped', isStopped)
      // Closed, it would not say what to do.
      if (isStopped) details.open = true
      state.textContent = words
      content.replaceChildren(...contentOf(status, new Date()))
    },
  }
}

function contentOf(status: UpkeepStatus, now: Date): readonly HTMLElement[] {
  const { mode, buckets } = status
  const about = ['It compares the bucket with the list of files.', modeInWords(mode)]
  return [
    element('p', { className: 'hint' }, about.join(' ').trim()),
    ...buckets.flatMap((bucket) => bucketPart(bucket, buckets.length > 1, now)),
  ]
}

function bucketPart(bucket: BucketStatus, isNamed: boolean, now: Date): readonly HTMLElement[] {
  const counts = bucket.last?.counts ?? bucket.counts
  return [
    ...(isNamed ? [element('h3', { dir: 'auto' }, bucket.bucket)] : []),
    ...stopPart(bucket),
    element('p', {}, lastInWords(bucket, now)),
    ...listPart('Found', foundInWords(counts)),
    ...listPart('Done', doneInWords(counts)),
    ...noList(counts),
    ...waitingInWords(bucket).map((text) => element('p', {}, text)),
    ...(counts.dropped || counts.corrected
      ? [
          element('p', {}, 'What was removed or replaced can be restored for 30 days:'),
          command(`upkeep kept --bucket ${bucket.bucket}`),
        ]
      : []),
    ...(counts.ownerless ? [command(`upkeep orphans --bucket ${bucket.bucket}`)] : []),
  ]
}

/** Says why upkeep stopped, what to check, and how a person lets it go on. */
function stopPart({ stopped, bucket }: BucketStatus): readonly HTMLElement[] {
  if (stopped === null) return []
  const [what, check] = stopInWords(stopped.reason)
  return [
    element(
      'div',
      { className: 'upkeep-stop' },
      element('p', {}, element('strong', {}, 'It has stopped.'), ` ${what}`),
      element('p', {}, `${check} Nothing is changed until then. If all is right, let it go on:`),
      command(`upkeep go-on --bucket ${bucket}`),
    ),
  ]
}

/** A command, which wraps between its words, not within `--url`. */
function command(text: string): HTMLElement {
  const words = `${COMMAND} ${text} --url ${location.origin}`.split(' ')
  const parts = words.flatMap((word) => [element('span', {}, word), ' ']).slice(0, -1)
  return element('p', {}, element('code', {}, ...parts))
}

/** A list with a heading that is not in the outline, since the parts are short. */
function listPart(heading: string, lines: readonly string[]): readonly HTMLElement[] {
  if (lines.length === 0) return []
  const list = element('ul', {}, ...lines.map((line) => element('li', {}, line)))
  list.setAttribute('aria-label', heading)
  return [element('p', { className: 'upkeep-heading', ariaHidden: 'true' }, heading), list]
}

/** A server that can't list unfinished uploads, whose count is then missing. */
const noList = (counts: Counts): readonly HTMLElement[] =>
  'objects' in counts && !('oldUploads' in counts)
    ? [
        element(
          'p',
          { className: 'hint' },
          'This server lists no unfinished uploads. Set a lifecycle rule that ends them.',
        ),
      ]
    : []
