import { parseXml, XmlElement } from '@rgrove/parse-xml'

/** Returns the root element of an S3 response, or null if `text` is not XML. */
export function readXml(text: string): XmlElement | null {
  try {
    // S3 may send white space before its response while it works.
    return parseXml(text.trim()).root
  } catch {
    return null
  }
}

/** Returns the elements directly under `parent` that have this name. */
export const childrenOf = (parent: XmlElement, name: string): XmlElement[] =>
  parent.children.filter(
    (child) => child instanceof XmlElement && child.name === name,
  ) as XmlElement[]

/** Returns the text of the first element with this name directly under `parent`, or null. */
export const textOf = (parent: XmlElement, name: string): string | null =>
  childrenOf(parent, name)[0]?.text ?? null

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Returns `text` escaped for XML, between tags or in quotes. */
export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')

/**
 * Returns a reader of keys, which the server encodes if it says so: XML can't carry all of them. A
 * space is `+` on AWS, and `%20` elsewhere. Null for what can't be decoded.
 */
export function decoderOf(root: XmlElement): (entry: XmlElement, name: string) => string | null {
  const isEncoded = textOf(root, 'EncodingType') === 'url'
  return (entry, name) => {
    const text = textOf(entry, name)
    if (text === null || !isEncoded) return text
    try {
      return decodeURIComponent(text.replaceAll('+', ' '))
    } catch {
      return null
    }
  }
}
