import { parseXml, XmlElement } from '@rgrove/parse-xml'

/** The root element of an S3 answer, or null where `text` is no XML. */
export function readXml(text: string): XmlElement | null {
  try {
    // S3 may send white space while it works on an answer, in front of it too.
    return parseXml(text.trim()).root
  } catch {
    return null
  }
}

/** The elements directly under `parent` that have this name. */
export const childrenOf = (parent: XmlElement, name: string): XmlElement[] =>
  parent.children.filter(
    (child) => child instanceof XmlElement && child.name === name,
  ) as XmlElement[]

/** The text of the first element of this name directly under `parent`, or null. */
export const textOf = (parent: XmlElement, name: string): string | null =>
  childrenOf(parent, name)[0]?.text ?? null

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** `text` as it may appear in an XML document, between tags or in quotes. */
export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
