import type { BucketLimits } from './answers/files.ts'
import { PresignerError } from './presigner-error.ts'
import { mimetypeOf } from './upload.ts'

/**
 * Returns why a file can't be uploaded: it is larger than the limit, or its type is not in `accept`,
 * written as for `<input>`, or not in the limits.
 */
export function refusalOf(
  file: File,
  accept: string | undefined,
  limits: BucketLimits | undefined,
): PresignerError | undefined {
  const { maxBytes, allowedTypes } = limits ?? {}
  if (maxBytes && file.size > maxBytes)
    return new PresignerError('file_too_large', `A file may have at most ${maxBytes} bytes here.`)
  const name = file.name.toLowerCase()
  const [type = ''] = mimetypeOf(file, name).toLowerCase().split(';')
  const isFor = (each: string) =>
    each.startsWith('.')
      ? name.endsWith(each)
      : each === '*' ||
        each === '*/*' ||
        each === type ||
        (each.endsWith('/*') && type.startsWith(each.slice(0, -1)))
  const asked = (accept ?? '')
    .toLowerCase()
    .split(',')
    .flatMap((each) => each.trim() || [])
  const isAsked = asked.length === 0 || asked.some(isFor)
  return isAsked && (allowedTypes?.some(isFor) ?? true)
    ? undefined
    : new PresignerError('mimetype_not_allowed', 'Files of this type are not allowed here.')
}

// Chromium has no classes for these two.
const isFolder = (entry: FileSystemEntry | null): entry is FileSystemDirectoryEntry =>
  entry?.isDirectory === true
const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile

/** Returns the folders of a drop. Must be called in the event itself. */
export const foldersOf = (items: DataTransferItemList): FileSystemDirectoryEntry[] =>
  Array.from(items, (item) => item.webkitGetAsEntry()).filter(isFolder)

/** Returns the files of a folder and its subfolders, with the paths that `<input>` gives them. */
export async function filesIn(folder: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = folder.createReader()
  const files: File[] = []
  for (;;) {
    // Chromium returns at most 100 at a time.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (entries.length === 0) return files
    for (const entry of entries)
      if (isFolder(entry)) files.push(...(await filesIn(entry)))
      else if (isFile(entry)) {
        const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject))
        const value = entry.fullPath.slice(1)
        files.push(Object.defineProperty(file, 'webkitRelativePath', { value }))
      }
  }
}
