import { explain } from './explain.ts'

/** The texts of a `Dropzone`, in English. */
export const ENGLISH = {
  choose: 'Drop files here, or choose them',
  chooseFolder: 'Drop a folder here, or choose one',
  /** The size of the largest file is formatted: `5 MB`. */
  limit: (size: string) => `Up to ${size} for each file.`,
  /** The name of the list. */
  uploads: 'Uploads',
  pause: 'Pause',
  resume: 'Resume',
  retry: 'Try again',
  cancel: 'Cancel',
  hide: 'Hide',
  hideUploaded: 'Hide uploaded files',
  /** The name of a button for a screen reader. */
  action: (action: string, fileName: string) => `${action}: ${fileName}`,
  waiting: 'Waiting',
  sending: 'Uploading',
  paused: 'Paused',
  uploaded: 'Uploaded',
  /** What a screen reader says when uploads start, and when they end. */
  uploading: (files: number) => `Uploading ${files} ${files === 1 ? 'file' : 'files'}.`,
  summary: (uploaded: number, files: number, failed: number) =>
    `${uploaded} of ${files} files uploaded${failed > 0 ? `, ${failed} failed` : ''}.`,
  /** Why files are not added. */
  folder: 'Folders can’t be uploaded. Open the folder, and drop its files.',
  tooMany: (maxFiles: number) =>
    `You can add at most ${maxFiles} ${maxFiles === 1 ? 'file' : 'files'}.`,
  more: (files: number) => `${files} more ${files === 1 ? 'file was' : 'files were'} not added.`,
  /** Why an upload failed or waits, and why a file is not added. */
  error: (error: Error) => explain(error),
}

export type DropzoneLabels = Readonly<typeof ENGLISH>

/** Texts that replace some of them. */
export type OwnLabels = {
  readonly [Name in keyof DropzoneLabels]?: DropzoneLabels[Name] | undefined
}

/** Returns all texts. One that is undefined or null is the English one. */
export const textsOf = (labels: OwnLabels = {}): DropzoneLabels => ({
  ...ENGLISH,
  ...Object.fromEntries(Object.entries(labels).filter(([, text]) => text ?? false)),
})

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const

/** Returns a size, rounded down: `2.5 MB`. */
export function sizeText(bytes: number, locale: string): string {
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1)
  const size = Math.floor((bytes / 1000 ** power) * 10) / 10
  const options = { style: 'unit', unit: UNITS[power] } as const
  try {
    return new Intl.NumberFormat(locale, options).format(size)
  } catch {
    return new Intl.NumberFormat('en', options).format(size) // for a locale such as `en_US`
  }
}
