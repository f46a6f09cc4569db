/**
 * `text` percent-encoded by RFC 3986, all but the unreserved characters: SigV4's `UriEncode` with
 * encoded slashes.
 */
export const uriEncode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
