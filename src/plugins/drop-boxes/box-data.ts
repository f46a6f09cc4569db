// What the page of a drop box and its script agree on. The script is built from drop-box/src.

/** What the script needs to know of a drop box. It is in the page. */
export interface BoxData {
  /** Who asks for files: text of the creator. */
  readonly from: string
  readonly maxFiles: number
  readonly maxBytes: number
  readonly maxTotalBytes: number
  readonly allowedTypes: readonly string[] | null
  readonly hasPassword: boolean
  readonly left: Capacity
}

/** How much a drop box can still receive, even if some of it is reserved. */
export interface Capacity {
  readonly files: number
  readonly bytes: number
}

/** The most bytes of a sender's name and note together. */
export const MAX_SENDER_BYTES = 2048

/** Returns how much a drop box still accepts, in words. */
export const capacityInWords = (
  { maxFiles, maxTotalBytes }: BoxData,
  { files, bytes }: Capacity,
  sizeInWords: (bytes: number) => string,
): string => `${files} of ${maxFiles} files, ${sizeInWords(bytes)} of ${sizeInWords(maxTotalBytes)}`

/** Types with their own names. Others are shown as they are. */
const NAMES: Readonly<Record<string, string>> = {
  'image/*': 'images',
  'video/*': 'videos',
  'audio/*': 'audio',
  'text/*': 'text',
  'text/plain': 'text',
  'application/pdf': 'PDF',
  'application/zip': 'ZIP',
}

/** Returns what a visitor may send, such as `images, PDF`. */
export const typesInWords = (types: readonly string[] | null | undefined): string =>
  types
    ?.map((type) => NAMES[type] ?? (/^image\/\w+$/.test(type) ? type.slice(6).toUpperCase() : type))
    .join(', ') ?? 'any'
