import { type Api, createApi } from '../../client/src/api.ts'
import { sha256Of } from '../../client/src/file-bytes.ts'
import { PresignerError } from '../../client/src/presigner-error.ts'
import { keptNames } from '../../client/src/resume-slot.ts'
import { turnsInParts, upload } from '../../client/src/upload.ts'
import { dateInWords, filesInWords, sizeInWords } from '../../src/http/format.ts'
import { toFileName } from '../../src/keys/shown-name.ts'
import {
  type BoxData,
  capacityInWords,
  MAX_SENDER_BYTES,
} from '../../src/plugins/drop-boxes/box-data.ts'
import { createAccess, type Visitor } from './access.ts'
import { acceptDrops } from './drops.ts'
import { createPatience } from './patient.ts'
import { createQueue, type Item, type State } from './queue.ts'
import { reasonOf, refusalOf } from './refusal.ts'
import { createRow, type Row } from './row.ts'
import { thanksFrom } from './thanks.ts'

/** How long messages for screen readers are collected. */
const SAY_MILLISECONDS = 400

const find = <T extends Element>(selector: string): T => {
  const found = document.querySelector<T>(selector)
  if (!found) throw new Error(selector)
  return found
}

const unlock = find<HTMLFormElement>('#unlock')
const form = find<HTMLFormElement>('#send')
const password = find<HTMLInputElement>('[name=password]')
const sender = find<HTMLInputElement>('[name=name]')
const note = find<HTMLTextAreaElement>('[name=note]')
const chooser = find<HTMLInputElement>('[type=file]')
const submit = find<HTMLButtonElement>('#send [type=submit]')
const thanks = find<HTMLElement>('#thanks')
const list = find<HTMLUListElement>('.files')
const time = find<HTMLTimeElement>('time')

const box: BoxData = JSON.parse(form.dataset.box ?? '')
let { left } = box
/** Names the box in what is kept to resume later. Its own id is a secret. */
let name = ''

const { patient, wake } = createPatience()
/** Reads the fields, without the control characters of pasted text that the API refuses. */
const readVisitor = (): Visitor => ({
  password: password.value,
  name: sender.value.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ').trim(),
  note: note.value.replace(/[^\P{Cc}\n\t]/gu, ' ').trim(),
})
/** Not read from the fields each time: they change with each keystroke, and may be too long. */
let visitor = readVisitor()
const access = createAccess(location.pathname, () => visitor)

/** Files of the queue in one of these states. */
const filesIn = (...states: State[]): File[] =>
  [...queue.items].filter(({ state }) => states.includes(state)).map(({ file }) => file)
const bytesOf = (files: readonly File[]): number => files.reduce((sum, { size }) => sum + size, 0)
const isActive = () => filesIn('waiting', 'sending').length > 0
const reason = (error: unknown) => reasonOf(error, box)

/** One for all files, which then wait together if there is no connection. Made by `enter`. */
let api: Api | undefined
let bucket: string | undefined
const inTurn = turnsInParts()

/** Lets the visitor in, as the fields describe them. */
async function enter(): Promise<void> {
  visitor = readVisitor()
  const session = await access()
  const token = async (refused?: string) => (await access(refused)).token
  api ??= patient(createApi({ baseUrl: session.endpoint, token }))
  bucket = session.bucket
}

const hasCode = (error: unknown, code: PresignerError['code']): boolean =>
  error instanceof PresignerError && error.code === code
const isClosed = (error: unknown): boolean => hasCode(error, 'drop_box_closed')

const queue = createQueue(
  async (file, options) => {
    if (!api) throw new Error('Not let in')
    const to = { api, bucket, place: name, inTurn }
    const fileName = toFileName(file.name)
    const send = () => upload(to, file, { ...options, multipart: true, fileName })
    // The box has given up the parts, such as while the computer slept.
    return send().catch((error: unknown) =>
      hasCode(error, 'upload_ended') || hasCode(error, 'upload_not_found')
        ? send()
        : Promise.reject(error),
    )
  },
  show,
  isClosed,
)

const rows = new Map<Item, Row>()
const shown = new Map<Item, State>()
let isPlanned = false

/** Shows a file, and what follows from its state. */
function show(item: Item): void {
  const { file, state, error } = item
  const row = rows.get(item) ?? createRow(item, queue, reason)
  if (!queue.items.has(item)) {
    rows.delete(item)
    row.element.remove()
    chooser.focus()
  } else if (!rows.has(item)) {
    rows.set(item, row)
    list.append(row.element)
  }
  row.update()
  if (shown.get(item) === state && queue.items.has(item)) return
  shown.set(item, state)
  if (state === 'done') {
    left = { files: left.files - 1, bytes: left.bytes - file.size }
    find('#room').textContent = capacityInWords(box, left, sizeInWords)
    say(`${file.name} has arrived.`)
  }
  if (isClosed(error)) problem(error)
  else if (state === 'failed' || state === 'refused') say(`${file.name}: ${reason(error)}`)
  if (state !== 'waiting' && state !== 'sending') wake()
  if (!isPlanned) queueMicrotask(showAll)
  isPlanned = true
}

/** Shows what depends on all files, once for all that change together. */
function showAll(): void {
  isPlanned = false
  const ready = filesIn('ready').length
  submit.hidden = ready === 0
  submit.textContent = `Send ${filesInWords(ready)}`
  const done = filesIn('done')
  const isOver = done.length > 0 && !isActive()
  const wasOver = !thanks.hidden
  thanks.hidden = !isOver
  if (isOver) {
    const text = thanksFrom(box.from, done, filesIn('failed').length)
    find('#thanks p').textContent = text
    if (!wasOver) {
      say(`Thank you. ${text}`)
      if (!document.activeElement?.matches('input, textarea')) thanks.focus()
    }
  }
  showKept()
}

function showKept(): void {
  const all = keptNames(name)
  const chosen = new Set(
    all.length > 0 ? [...queue.items].map(({ file }) => toFileName(file.name)) : [],
  )
  const names = all.filter((one) => !chosen.has(one))
  const kept = find<HTMLElement>('#kept')
  kept.hidden = names.length === 0
  kept.textContent = `Not finished: ${names.join(', ')}. Choose the same file again, and it continues where it stopped.`
}

function problem(error: unknown, where = '#problem'): void {
  const element = find<HTMLElement>(where)
  element.hidden = error === undefined
  const seconds =
    error instanceof PresignerError && error.code === 'rate_limited' && error.retryAfter
  element.textContent = error
    ? seconds
      ? `Too many attempts. Try again in ${seconds} seconds.`
      : reason(error)
    : ''
}

function add(files: Iterable<File>): void {
  const identity = ({ name, size, lastModified }: File) => `${size} ${lastModified} ${name}`
  const known = new Map([...queue.items].map((item) => [identity(item.file), item]))
  const planned = filesIn('ready', 'waiting', 'sending')
  let room = { files: left.files - planned.length, bytes: left.bytes - bytesOf(planned) }
  for (const file of files) {
    const old = known.get(identity(file))
    if (old && /^(?:ready|waiting|sending|done)$/.test(old.state)) continue
    if (old) queue.remove(old, 'returns')
    const refused = refusalOf(file, box, room)
    known.set(identity(file), queue.add(file, refused))
    if (!refused) room = { files: room.files - 1, bytes: room.bytes - file.size }
  }
}

let words: string[] = []
/** Tells screen readers. */
function say(text: string): void {
  if (words.push(text) > 1) return
  setTimeout(() => {
    find('#status').textContent = words.join(' ')
    words = []
  }, SAY_MILLISECONDS)
}

unlock.addEventListener('submit', async (event) => {
  event.preventDefault()
  const button = find<HTMLButtonElement>('#unlock button')
  button.disabled = true
  problem(undefined, '#wrong')
  try {
    await enter()
    unlock.hidden = true
    form.hidden = false
    chooser.focus()
  } catch (error) {
    problem(error, '#wrong')
    password.select()
  }
  button.disabled = false
})

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const count = filesIn('ready').length
  if (count === 0 || submit.disabled) return
  submit.disabled = true
  problem(undefined)
  try {
    await enter()
    say(`Sending ${filesInWords(count)}.`)
    queue.start()
  } catch (error) {
    problem(error)
  }
  submit.disabled = false
})

for (const field of [sender, note])
  field.addEventListener('input', () => {
    const { length } = new TextEncoder().encode(sender.value + note.value)
    note.setCustomValidity(length > MAX_SENDER_BYTES ? 'Name and note are too long.' : '')
  })
form.addEventListener('change', () => {
  // For the files that are still waiting.
  if (note.checkValidity()) visitor = readVisitor()
})

chooser.addEventListener('change', () => {
  add(chooser.files ?? [])
  chooser.value = '' // so that the same file can be chosen again
})

acceptDrops((files, hasFolders) => {
  if (form.hidden) return
  problem(hasFolders ? "Folders can't be sent. Choose the files in them." : undefined)
  add(files)
})

addEventListener('beforeunload', (event) => {
  if (isActive()) event.preventDefault()
})

time.textContent = dateInWords(new Date(time.dateTime), navigator.languages)
time.lang = navigator.language

async function begin() {
  // Without a secure context, nothing is kept to resume.
  if (crypto.subtle) name = `drop-box:${await sha256Of(new Blob([location.pathname]))}`
  form.hidden = box.hasPassword
  unlock.hidden = !box.hasPassword
  showAll()
}
void begin()
