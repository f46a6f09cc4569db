import type { SharingClient } from '../../../client/src/sharing.ts'
import { copyText } from '../copy-text.ts'
import { errorText, wantsCredentials } from '../error-text.ts'
import { find } from '../find.ts'
import { boxList } from './box-list.ts'
import { grantList } from './grant-list.ts'

/** What the user may have, and the Worker serves. */
export interface LiveParts {
  readonly hasGrants: boolean
  readonly hasBoxes: boolean
}

/** What the lists need of the dialog around them. */
export interface LiveDialog {
  readonly client: SharingClient
  /** Runs an action of the user. The dialog shows its error, or what was done. */
  run(action: () => Promise<string | undefined>): Promise<void>
  /** Copies an address during a click. Resolves with what to say. */
  copy(url: string): Promise<string | undefined>
  /** What has the focus when a list has become empty. */
  readonly heading: HTMLElement
  /** Closes the dialog, since the Worker wants other credentials. */
  refuse(error: unknown): void
}

/**
 * Shows what is live: limited links and drop boxes. `report` gets errors that the dialog can't
 * show.
 */
export function showLive(
  client: SharingClient,
  report: (error: unknown) => void,
  { hasGrants, hasBoxes }: LiveParts,
): void {
  const dialog = find(document, '#live-dialog', HTMLDialogElement)
  const heading = find(dialog, 'h2', HTMLHeadingElement)
  const status = find(dialog, '[role=status]', HTMLParagraphElement)
  const errorBox = find(dialog, '[role=alert]', HTMLDivElement)
  const choice = find(dialog, 'fieldset', HTMLFieldSetElement)
  const say = (text = '', error: readonly HTMLElement[] = []) => {
    status.textContent = text
    errorBox.replaceChildren(...error)
  }
  const live: LiveDialog = {
    client,
    heading,
    async run(action) {
      say()
      try {
        say(await action())
      } catch (error) {
        if (wantsCredentials(error)) live.refuse(error)
        else say('', errorText(error, '', { not_found: 'This has ended meanwhile.' }))
      }
    },
    copy: async (url) => ((await copyText(Promise.resolve(url))) ? 'Copied.' : undefined),
    refuse(error) {
      dialog.close()
      report(error)
    },
  }
  const lists = { grants: grantList(live), boxes: boxList(live) }
  const show = (chosen: 'grants' | 'boxes') => {
    say()
    for (const name of ['grants', 'boxes'] as const) {
      const part = find(dialog, `#live-${name}`, HTMLElement)
      part.hidden = name !== chosen
      part.replaceChildren(...(part.hidden ? [] : lists[name].parts))
    }
    void lists[chosen].reload()
  }
  const first = hasGrants ? 'grants' : 'boxes'
  choice.hidden = !(hasGrants && hasBoxes)
  find(choice, `[value=${first}]`, HTMLInputElement).checked = true
  choice.onchange = () => {
    show(find(choice, ':checked', HTMLInputElement).value === 'boxes' ? 'boxes' : 'grants')
  }
  show(first)
  dialog.showModal()
  heading.focus()
}
