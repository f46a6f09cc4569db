'use client'

import type * as React from 'react'
import { memo, useEffect, useId, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { filesIn, foldersOf, refusalOf } from './added-files.ts'
import type { Limits } from './answers/files.ts'
import { type DropzoneLabels, type OwnLabels, sizeText, textsOf } from './dropzone-labels.ts'
import { canRetry } from './explain.ts'
import { asError } from './presigner-error.ts'
import * as hooks from './react.ts'
import type { LinksOptions } from './requests.ts'

export type { DropzoneLabels } from './dropzone-labels.ts'

/** The options of `useUpload`, and of the drop zone. */
export interface DropzoneProps<Data = unknown> extends hooks.UseUploadOptions<Data> {
  /** Types, as for `<input>`: `image/*,.pdf`. Default: those that the API allows. */
  readonly accept?: string | undefined
  /** Whether somebody can choose several files at a time. Default: true. */
  readonly multiple?: boolean | undefined
  /** Lets people choose a folder, and drop folders. Each file has a `webkitRelativePath`. */
  readonly directory?: boolean | undefined
  /** How many files may be on the list. Those that failed for good don't count. */
  readonly maxFiles?: number | undefined
  /** Takes no more files. Uploads go on. */
  readonly disabled?: boolean | undefined
  /** Links to the pictures on the list, or false for none. Default: 320 pixels wide. */
  readonly thumbnails?: LinksOptions | false | undefined
  /** Other texts, such as translations. */
  readonly labels?: OwnLabels | undefined
  /** How sizes are written. Default: `en`. */
  readonly locale?: string | undefined
  readonly className?: string | undefined
}

const THUMBNAILS: LinksOptions = { width: 320, fallback: 'original' }
/** The link of each key, and the upload that it was made for. */
type Links = ReadonlyMap<string, { readonly id: number; readonly link: string }>
const NO_LINKS: Links = new Map()
const MAX_REFUSALS = 5

/** A text, and the file that it is about. */
type Refusal = readonly [reason: string, fileName?: string]

/**
 * Uploads files that somebody chooses, drops or pastes, and lists them. Needs a `PresignerProvider`
 * above it, and the styles of `edge-presigner-client/dropzone.css`.
 */
export function Dropzone<Data = unknown>({
  accept,
  multiple = true,
  directory = false,
  maxFiles = Number.POSITIVE_INFINITY,
  disabled = false,
  thumbnails = THUMBNAILS,
  labels,
  locale = 'en',
  className = '',
  ...options
}: DropzoneProps<Data>): React.ReactElement {
  const client = hooks.usePresigner<Data>()
  const session = useSyncExternalStore(client.onBegin, client.session, client.session)
  const { uploads, status, add, pause, resume, retry, dismiss } = hooks.useUpload<Data>(options)
  const [limits, setLimits] = useState<Limits>()
  const [refused, setRefused] = useState<readonly Refusal[]>([])
  const [links, setLinks] = useState(NO_LINKS)
  const [isOver, setIsOver] = useState(false)
  const isAsking = useRef(false)
  const input = useRef<HTMLInputElement>(null)
  const keptFocus = useKeptFocus(input)
  const hintId = useId()
  const text = useMemo(() => textsOf(labels), [labels])
  const own = limits?.buckets.find(({ bucket }) => bucket === (client.bucket ?? bucket))
  const done = uploads.filter((each) => each.status === 'done')
  const failed = uploads.filter((each) => each.status === 'failed')
  const lost = failed.filter(({ error }) => error && !canRetry(error))

  useEffect(guardPage, [])
  useEffect(() => {
    const { signal } = session
    const clear = () => {
      setLimits(undefined)
      setRefused([])
      setLinks(NO_LINKS)
    }
    // Nobody is logged in, and a request would start another session. What was refused ends with it.
    if (signal.aborted)
      return () => {
        if (client.session().signal.aborted) return
        clear()
        dismiss()
      }
    signal.addEventListener('abort', clear)
    // The API checks each upload in any case.
    client.limits({ signal }).then(
      (found) => signal.aborted || setLimits(found),
      () => undefined,
    )
    return () => {
      signal.removeEventListener('abort', clear)
      clear()
    }
  }, [client, session, dismiss])

  // One request at a time, for all pictures that have been uploaded meanwhile.
  useEffect(() => {
    const mayLink =
      limits?.plugins.includes('links') && limits.scopes.includes('links:create') && thumbnails
    const pictures = new Map(
      done.flatMap(({ id, record }) =>
        record?.mimetype.startsWith('image/') && !links.has(record.key)
          ? [[record.key, id] as const]
          : [],
      ),
    )
    if (!mayLink || pictures.size === 0 || isAsking.current) return
    isAsking.current = true
    client.links([...pictures.keys()], thumbnails).then(
      ({ links: found }) => {
        isAsking.current = false
        // A picture without a link is not asked for again.
        const linkOf = (wanted: string) =>
          found.flatMap((each) => ('link' in each && each.key === wanted ? each.link : []))[0]
        const added = [...pictures].map(
          ([key, id]) => [key, { id, link: linkOf(key) ?? '' }] as const,
        )
        if (!session.signal.aborted) setLinks(new Map([...links, ...added]))
      },
      () => {
        isAsking.current = false // The next change asks again.
      },
    )
  })

  /** A link to the picture of an upload. A browser would show the earlier upload to a key under its link. */
  function linkTo({ id, record }: hooks.Upload): string | undefined {
    const { key = '' } = record ?? {}
    const isLast = done.findLast((each) => each.record?.key === key)?.id === id
    const known = links.get(key)
    return isLast && known?.id === id ? known.link : undefined
  }
  function take(files: readonly File[], folders: readonly unknown[] = []) {
    if (disabled || input.current?.matches(':disabled')) return
    const refusals: Refusal[] = folders.length > 0 ? [[text.folder]] : []
    const fitting = files.filter((file) => {
      const error = refusalOf(file, accept, own)
      if (error) refusals.push([text.error(error), file.name])
      return !error
    })
    const max = multiple || directory ? maxFiles : Math.min(maxFiles, 1)
    const most = Math.min(max, Math.max(maxFiles - uploads.length + lost.length, 0))
    if (fitting.length > most) refusals.unshift([text.tooMany(max)])
    setRefused(refusals)
    add(fitting.slice(0, most))
  }
  const latest = useRef(take)
  useEffect(() => {
    latest.current = take
  })
  function onDrag(event: React.DragEvent<HTMLElement>) {
    const { type, currentTarget, relatedTarget, dataTransfer } = event
    if (!dataTransfer.types.includes('Files')) return
    event.preventDefault()
    dataTransfer.dropEffect = disabled ? 'none' : 'copy'
    const isInside = relatedTarget instanceof Node && currentTarget.contains(relatedTarget)
    setIsOver(!disabled && type !== 'drop' && (type !== 'dragleave' || isInside))
    if (type !== 'drop' || disabled) return
    const folders = foldersOf(dataTransfer.items)
    // A folder is among the files, too.
    const isFile = (file: File) => folders.every(({ name }) => name !== file.name)
    const files = [...dataTransfer.files].filter(isFile)
    if (!directory || folders.length === 0) return take(files, folders)
    const dropper = client.session()
    Promise.all(folders.map(filesIn)).then(
      (nested) => client.session() === dropper && latest.current([...files, ...nested.flat()]),
      (thrown) => setRefused([[text.error(asError(thrown))]]),
    )
  }
  function onChange({ currentTarget }: React.ChangeEvent<HTMLInputElement>) {
    take([...(currentTarget.files ?? [])])
    currentTarget.value = '' // so that the same file can be chosen again
  }
  function onPaste(event: React.ClipboardEvent) {
    const files = [...event.clipboardData.files]
    if (files.length === 0) return
    event.preventDefault()
    take(files)
  }

  const told = failed.length > 1 ? undefined : (failed[0] ?? uploads.find(({ stalled }) => stalled))
  const reason = told?.error ?? told?.stalled
  const said =
    status === 'uploading'
      ? text.uploading(uploads.length)
      : uploads.length > 0 && text.summary(done.length, uploads.length, failed.length)
  return (
    <div className={`ep-dropzone ${className}`.trim()} onPaste={onPaste} {...keptFocus}>
      <label
        className="ep-dropzone-zone"
        data-over={(isOver && !disabled) || undefined}
        data-disabled={disabled || undefined}
        {...{ onDragOver: onDrag, onDragLeave: onDrag, onDrop: onDrag }}
      >
        {directory ? text.chooseFolder : text.choose}
        <input
          ref={input}
          type="file"
          className="ep-dropzone-input"
          accept={accept ?? own?.allowedTypes?.join(',')}
          aria-describedby={own?.maxBytes ? hintId : undefined}
          {...{ multiple, disabled, onChange }}
          {...(directory && { webkitdirectory: '' })}
        />
      </label>
      {own?.maxBytes && (
        <p id={hintId} className="ep-dropzone-hint">
          {text.limit(sizeText(own.maxBytes, locale))}
        </p>
      )}
      <div role="alert" className="ep-dropzone-refused">
        {refused.slice(0, MAX_REFUSALS).map(([reason, name], index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two files may have the same name
          <p key={index}>
            {name && <bdi>{name}</bdi>}
            {name && ': '}
            {reason}
          </p>
        ))}
        {refused.length > MAX_REFUSALS && <p>{text.more(refused.length - MAX_REFUSALS)}</p>}
      </div>
      <ul aria-label={text.uploads} className="ep-dropzone-list">
        {uploads.map((upload) => (
          <Row
            key={upload.id}
            upload={upload}
            link={linkTo(upload)}
            {...{ text, pause, resume, retry, dismiss }}
          />
        ))}
      </ul>
      <p role="status" className="ep-dropzone-status">
        {said}
        {reason && <span className="ep-dropzone-hidden"> {text.error(reason)}</span>}
      </p>
      {done.length > 1 && (
        <button type="button" onClick={() => done.map(({ id }) => dismiss(id))}>
          {text.hideUploaded}
        </button>
      )}
    </div>
  )
}

interface RowProps extends Pick<hooks.UploadActions, 'pause' | 'resume' | 'retry' | 'dismiss'> {
  readonly upload: hooks.Upload
  readonly link: string | undefined
  readonly text: DropzoneLabels
}

/** Hides a picture that the browser can't show, such as HEIC. */
function hide({ currentTarget }: React.SyntheticEvent<HTMLElement>) {
  currentTarget.hidden = true
}

/** What a row says in each state, and what its first button does. */
const STATES = {
  waiting: { note: 'waiting', action: 'pause' },
  uploading: { note: 'sending', action: 'pause' },
  paused: { note: 'paused', action: 'resume' },
  done: { note: 'uploaded', action: undefined },
  failed: { note: undefined, action: 'retry' },
  canceled: { note: undefined, action: undefined },
} as const

/** One upload. It renders again only if it has changed. */
const Row = memo(function Row({ upload, link, text, ...actions }: RowProps) {
  const { id, name, status, progress, error, stalled } = upload
  const reason = error ?? stalled
  const { note, action } = STATES[status]
  const isOver = status === 'done' || status === 'failed'
  const button = (label: string, onClick: () => void) => (
    <button type="button" aria-label={text.action(label, name)} onClick={onClick}>
      {label}
    </button>
  )
  return (
    <li data-status={status}>
      <span className="ep-dropzone-picture">
        <span aria-hidden="true">{/\.(\w{1,4})$/.exec(name)?.[1]}</span>
        {link && <img src={link} alt="" loading="lazy" onError={hide} />}
      </span>
      <div className="ep-dropzone-file">
        <bdi>{name}</bdi>
        {!isOver && <progress aria-label={name} value={progress} />}
        <span className={reason ? 'ep-dropzone-reason' : 'ep-dropzone-note'}>
          {reason ? text.error(reason) : note && text[note]}
        </span>
      </div>
      <span className="ep-dropzone-buttons">
        {/* One button in one place, so that it keeps the focus when its text changes. */}
        {action && (!error || canRetry(error)) && button(text[action], () => actions[action](id))}
        {button(isOver ? text.hide : text.cancel, () => actions.dismiss(id))}
      </span>
    </li>
  )
})

/**
 * Keeps the keyboard's place when a focused button disappears: in its row, in the next one, or at the
 * file input. Returns handlers for the element around them.
 */
function useKeptFocus(input: React.RefObject<HTMLInputElement | null>) {
  const focused = useRef<{ readonly element: Element; readonly index: number }>(undefined)
  useEffect(() => {
    const { element, index = 0 } = focused.current ?? {}
    if (!element || element.isConnected) return
    focused.current = undefined
    // Somebody may have gone on elsewhere.
    if (document.activeElement && document.activeElement !== document.body) return
    const rows = [...(input.current?.closest('.ep-dropzone')?.querySelectorAll('li') ?? [])]
    const row = rows[index] ?? rows.at(-1)
    const target = row?.querySelector<HTMLElement>('button:last-of-type') ?? input.current
    target?.focus()
  })
  return {
    onFocus({ target: element }: React.FocusEvent) {
      const rows = [...(element.closest('ul')?.children ?? [])]
      focused.current = { element, index: rows.findIndex((row) => row.contains(element)) }
    },
    onBlur() {
      focused.current = undefined
    },
  }
}

/** A file that is dropped next to the zone would replace the page, and end its uploads. */
function guardPage(): () => void {
  const onDragOver = (event: DragEvent) => {
    const { defaultPrevented, dataTransfer } = event
    const [target] = event.composedPath()
    const isEditor =
      target instanceof HTMLElement &&
      (target.isContentEditable || target.matches('input, textarea'))
    if (defaultPrevented || isEditor || !dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    dataTransfer.dropEffect = 'none'
  }
  addEventListener('dragover', onDragOver)
  return () => removeEventListener('dragover', onDragOver)
}
