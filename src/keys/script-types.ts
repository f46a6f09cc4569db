import { splitFileName } from './file-name.ts'

/** Extensions of files that may run scripts in the bucket's origin when a browser opens them. */
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
 * Other types that run scripts, although their name doesn't end with `xml`. For the unknown types,
 * browsers guess the type from the bytes (§7.1, and Firefox for the last one), so HTML becomes a
 * page.
 */
const SCRIPT_TYPES = new Set([
  'text/html',
  'text/xsl',
  'message/rfc822',
  'unknown/unknown',
  'application/unknown',
  'application/x-unknown-content-type',
])

/** Tells from the extension of `key` whether its object may run scripts when a browser opens it. */
export const keyRunsScript = (key: string): boolean =>
  SCRIPT_EXTENSIONS.has(splitFileName(key).extension)

/**
 * Tells whether a browser may run scripts in a document of the type `essence` (lower case, without
 * parameters). That applies to HTML, all XML types (MIME Sniffing, §4.6 "XML MIME type"),
 * JavaScript itself, multipart types, and types that browsers guess.
 */
export const typeRunsScript = (essence: string): boolean =>
  SCRIPT_TYPES.has(essence) ||
  JAVASCRIPT_TYPE.test(essence) ||
  /^multipart\/|[/+]xml$/.test(essence)
