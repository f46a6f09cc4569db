import { splitFileName } from './file-name.ts'

/** Extensions under which a browser that opens the object may run script in the bucket's origin. */
const SCRIPT_EXTENSIONS = new Set(
  `html htm shtml xhtml xht mht mhtml svg svgz xml xsl xslt xsd rng rdf rss atom mathml mml js mjs cjs
   gpx kml tcx dae x3d musicxml xspf xlf xliff owl wsdl xaml ttml smil ssml sru gml opf ncx`
    .split(/\s+/)
    .map((extension) => `.${extension}`),
)

/** The 16 JavaScript MIME types of MIME Sniffing, §4.6. */
const JAVASCRIPT_TYPE =
  /^(?:(?:text|application)\/(?:x-)?(?:java|ecma)script|text\/(?:javascript1\.[0-5]|jscript|livescript))$/

/**
 * Other types that run script though their name doesn't end in `xml`. Of the unknown ones browsers
 * guess from the bytes what they are (§7.1, and Firefox for the last), so that HTML becomes a page.
 */
const SCRIPT_TYPES = new Set([
  'text/html',
  'text/xsl',
  'message/rfc822',
  'unknown/unknown',
  'application/unknown',
  'application/x-unknown-content-type',
])

/**
 * Whether an object under `key` may run script when a browser opens it, told from its extension.
 */
export const keyRunsScript = (key: string): boolean =>
  SCRIPT_EXTENSIONS.has(splitFileName(key).extension)

/**
 * Whether a browser may run script in a document of the type `essence` (lower case, without
 * parameters): HTML, all XML types (MIME Sniffing, §4.6 "XML MIME type"), JavaScript itself, what is
 * joined of other documents, and what browsers guess.
 */
export const typeRunsScript = (essence: string): boolean =>
  SCRIPT_TYPES.has(essence) ||
  JAVASCRIPT_TYPE.test(essence) ||
  /^multipart\/|[/+]xml$/.test(essence)
