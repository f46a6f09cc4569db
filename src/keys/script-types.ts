import { splitFileName } from './file-name.ts'

/**
 * Extensions of files that may run scripts in the bucket's origin when a browser opens them. A file with such
 * a type and another extension is refused, so these have all common ones to which Chromium gives such a type.
 */
const SCRIPT_EXTENSIONS =
  ' html htm shtml xhtml xht xhtm mht mhtml eml svg svgz xml xsl xslt xsd xul xbl rng rdf rdfs rss atom' +
  ' opml mathml mml js mjs cjs es jsm gpx kml tcx osm dae x3d musicxml xspf xlf xliff its owl owx wsdl' +
  ' xaml ttml smil smi sml mpd ssml sru gml opf ncx fb2 dbk docbook metalink meta4' +
  ' vsdx vsdm vssx vssm vstx vstm '

/**
 * Types that run scripts: the 16 JavaScript types, HTML, mail, all XML types (MIME Sniffing, §4.6),
 * multipart types, and unknown ones. For those, browsers guess the type from the bytes (§7.1, and
 * Firefox for `x-unknown-content-type`), so HTML becomes a page.
 */
const SCRIPT_TYPE =
  /^(?:(?:text|application)\/(?:x-)?(?:java|ecma)script|text\/(?:javascript1\.[0-5]|jscript|livescript|html|xsl)|message\/rfc822|(?:unknown|application)\/unknown|application\/x-unknown-content-type)$|^multipart\/|[/+]xml$/

/** Tells from the extension of `key` whether its object may run scripts when a browser opens it. */
export const keyRunsScript = (key: string): boolean =>
  SCRIPT_EXTENSIONS.includes(` ${splitFileName(key).extension.slice(1)} `)

/**
 * Tells whether a browser may run scripts in a document of the type `essence` (lower case, without
 * parameters).
 */
export const typeRunsScript = (essence: string): boolean => SCRIPT_TYPE.test(essence)
