import type { FileRecord } from '../../client/src/index.ts'

/** What a tile shows for a file. Each name is the name of an icon. */
export type Kind = 'image' | 'video' | 'audio' | 'text' | 'archive' | 'file'

const ARCHIVE = /(zip|tar|gzip|compressed|7z|rar)$/
const TEXT = /(pdf|json|xml|document|msword|presentation|sheet|excel|rtf)$/

export function kindOf(mimetype: string): Kind {
  const [type = ''] = mimetype.toLowerCase().split(';')
  if (type.startsWith('image/')) return 'image'
  if (type.startsWith('video/')) return 'video'
  if (type.startsWith('audio/')) return 'audio'
  if (type.startsWith('text/') || TEXT.test(type)) return 'text'
  return ARCHIVE.test(type) ? 'archive' : 'file'
}

/** The Worker resizes no larger image. As a thumbnail, its original would take too long to load. */
export const MAX_PICTURE_BYTES = 20 * 1024 ** 2

/** Tells whether the Worker can resize this file. */
export const isResizable = ({ mimetype, size }: FileRecord): boolean =>
  kindOf(mimetype) === 'image' && !/^image\/svg/i.test(mimetype) && size <= MAX_PICTURE_BYTES

/** Tells whether a tile shows the file itself, if it has a link, and not an icon. */
export function isVisual({ mimetype, size }: Pick<FileRecord, 'mimetype' | 'size'>): boolean {
  const kind = kindOf(mimetype)
  return kind === 'video' || (kind === 'image' && size <= MAX_PICTURE_BYTES)
}

/** Returns `PDF` for `report.pdf`, and nothing if the extension is missing or long. */
export const extensionOf = (name: string): string =>
  /\.([\p{L}\p{N}]{1,5})$/u.exec(name)?.[1]?.toUpperCase() ?? ''
