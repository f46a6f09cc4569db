import type { Client, FileRecord } from '../../../client/src/index.ts'
import { element } from '../element.ts'
import { find } from '../find.ts'
import { bytesOf, filesInWords, sizeInWords } from '../words.ts'
import { zipOf } from './zip.ts'

/** Without a file to write to, the browser keeps the whole ZIP in memory. */
const MAX_MEMORY_BYTES = 1e9

/** Whether a ZIP is being saved. */
let isBusy = false

/** What a browser's file picker returns (File System Access). */
interface Target {
  createWritable(): Promise<WritableStream<Uint8Array<ArrayBuffer>>>
  remove?(): Promise<void>
}

/**
 * Saves these files in one ZIP, and shows its progress in a dialog. Resolves with what to say about it,
 * or with undefined if the user cancels or has read it in the dialog.
 */
export async function saveZip(
  client: Client,
  records: readonly FileRecord[],
): Promise<string | undefined> {
  if (isBusy) return undefined // a double click
  isBusy = true
  return save(client, records).finally(() => {
    isBusy = false
  })
}

async function save(client: Client, records: readonly FileRecord[]): Promise<string | undefined> {
  const allBytes = bytesOf(records)
  const suggestedName = `files-${new Date().toISOString().slice(0, 10)}.zip`
  const target = await chooseTarget(suggestedName)
  if (target === 'canceled') return undefined
  if (target === undefined && allBytes > MAX_MEMORY_BYTES)
    throw new Error(
      `These files have ${sizeInWords(allBytes)}. This browser keeps a ZIP in memory: select at most ${sizeInWords(MAX_MEMORY_BYTES)}, or use Chrome or Edge.`,
    )

  const dialog = find(document, '#zip-dialog', HTMLDialogElement)
  const text = find(dialog, '#zip-text', HTMLParagraphElement)
  const progress = find(dialog, 'progress', HTMLProgressElement)
  const current = find(dialog, '.zip-name bdi', HTMLElement)
  const list = find(dialog, '.zip-missing', HTMLUListElement)
  const button = find(dialog, 'button', HTMLButtonElement)
  const canceled = new AbortController()
  const { signal } = canceled
  dialog.addEventListener('close', () => canceled.abort(), { signal })
  button.addEventListener('click', () => dialog.close(), { signal })
  button.textContent = 'Cancel'
  list.replaceChildren()
  list.hidden = true
  text.textContent = `Downloading ${filesInWords(records.length)}, ${sizeInWords(allBytes)}…`
  dialog.showModal()

  let failure: Error | undefined
  const zip = zipOf({
    client,
    records,
    signal,
    onProgress(name, files, bytes) {
      current.textContent = name
      // Empty files have no bytes, but are progress too.
      progress.value = (bytes + files) / (Math.max(allBytes, bytes) + records.length)
    },
    onMissing(name, reason) {
      list.hidden = false
      list.append(element('li', {}, element('bdi', {}, name), `: ${reason}`))
    },
    onFailure(error) {
      failure = error
    },
  })
  try {
    if (target !== undefined) await zip.pipeTo(await target.createWritable(), { signal })
    else saveBlob(await blobOf(zip), suggestedName)
  } catch (error) {
    await target?.remove?.().catch(() => {}) // the browser has made an empty file
    if (signal.aborted) return undefined
    dialog.close()
    throw failure ?? error
  }
  if (signal.aborted) return undefined
  const missing = list.childElementCount
  const saved = `${filesInWords(records.length - missing)} saved in a ZIP.`
  if (missing === 0) {
    dialog.close()
    return saved
  }
  text.textContent = `${saved} ${filesInWords(missing)} could not be downloaded:`
  current.textContent = ''
  button.textContent = 'Close'
  return undefined
}

/** Asks where to save, in a browser that can write there. It must be called during a click. */
async function chooseTarget(suggestedName: string): Promise<Target | 'canceled' | undefined> {
  const picker: unknown = Reflect.get(window, 'showSaveFilePicker')
  if (typeof picker !== 'function') return undefined
  const types = [{ description: 'ZIP', accept: { 'application/zip': ['.zip'] } }]
  try {
    return await picker.call(window, { suggestedName, types })
  } catch (error) {
    // Any other error: in a frame, or too long after the click.
    return error instanceof DOMException && error.name === 'AbortError' ? 'canceled' : undefined
  }
}

const blobOf = (zip: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Blob> =>
  new Response(zip, { headers: { 'Content-Type': 'application/zip' } }).blob()

function saveBlob(blob: Blob, name: string): void {
  const anchor = document.createElement('a')
  anchor.href = URL.createObjectURL(blob)
  anchor.download = name
  anchor.click()
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000) // the browser reads it after the click
}
