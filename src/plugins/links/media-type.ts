const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const PARAMETER = `[\\t ]*${TOKEN}=(?:${TOKEN}|"[ !#-[\\]-~]*")`
// Spaces can match in only one way, so that a hostile value can't make this slow.
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})((?:[\\t ]*;(?:${PARAMETER})?)*)$`)
const EACH_PARAMETER = new RegExp(`;${PARAMETER}`, 'g')

/** Types that browsers show without a plugin and that never run scripts in their origin. */
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
  readonly contentType: string
  /** Whether a browser may show it, if nothing else uses the origin. */
  readonly isInert: boolean
  /** Whether it is an inert image, audio or video, which can't look like a page of the app. */
  readonly isMedia: boolean
}

/**
 * Parses a stored `Content-Type` as one media type (RFC 9110, §8.3.1), or returns null. A browser
 * also reads a type from malformed text, such as the last item of a comma list (Fetch, "extract a
 * MIME type"). So this refuses commas outside quotes, backslashes, and bytes beyond ASCII. It
 * removes a parameter with a comma inside quotes, since some clients ignore the quotes.
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
