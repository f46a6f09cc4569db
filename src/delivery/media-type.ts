const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const PARAMETER = `[\\t ]*${TOKEN}=(?:${TOKEN}|"[ !#-[\\]-~]*")`
// No run of spaces can match in two ways, so that a hostile value can't make this slow.
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})((?:[\\t ]*;(?:${PARAMETER})?)*)$`)
const EACH_PARAMETER = new RegExp(`;${PARAMETER}`, 'g')

/** Types that browsers show by themselves and that never run script in the origin they come from. */
const INERT_TYPES = new Set(
  [
    'image apng avif bmp gif heic heif jpeg jpg jxl png tiff vnd.microsoft.icon webp x-icon',
    'audio 3gpp aac flac mp3 mp4 mpeg ogg opus wav wave webm x-flac x-m4a x-wav',
    'video 3gpp mp4 mpeg ogg quicktime webm x-m4v x-matroska',
    'font collection otf sfnt ttf woff woff2',
    'text plain',
    'application pdf',
  ].flatMap((line) => {
    const [type, ...subtypes] = line.split(' ')
    return subtypes.map((subtype) => `${type}/${subtype}`)
  }),
)

export interface MediaType {
  /** The `Content-Type` to send. */
  readonly contentType: string
  /** Whether a browser may show it in the origin that serves it, where nothing else is. */
  readonly isInert: boolean
  /** Whether it is an inert image, sound or video: nothing that a page could be mistaken for. */
  readonly isMedia: boolean
}

/**
 * Reads a stored `Content-Type` as one media type (RFC 9110, §8.3.1), or returns null. A browser
 * makes a type of malformed text, such as the last item of a comma list (Fetch, "extract a MIME
 * type"), so anything else is refused: commas outside quotes, backslashes, bytes beyond ASCII.
 * A parameter with a comma inside quotes is left out, since not every client minds the quotes.
 */
export function parseMediaType(value: string): MediaType | null {
  const [, type, parameters = ''] = MEDIA_TYPE.exec(value.trim()) ?? []
  if (type === undefined) return null
  const essence = type.toLowerCase()
  const kept = parameters.replace(EACH_PARAMETER, (text) => (text.includes(',') ? '' : text))
  const isInert = INERT_TYPES.has(essence)
  const isMedia = isInert && /^(?:image|audio|video)\//.test(essence)
  return { contentType: essence + kept, isInert, isMedia }
}
