import { splitFileName } from './file-name.ts'

/** Extensions under which a browser that opens the object may run script in the bucket's origin. */
const SCRIPT_EXTENSIONS = new Set(
  `html htm shtml xhtml xht mht mhtml svg svgz xml xsl xslt xsd rng rdf rss atom mathml mml js mjs cjs
   gpx kml tcx dae x3d musicxml xspf xlf xliff owl wsdl xaml ttml smil ssml sru gml opf ncx`
    .split(/\s+/)
    .map((extension) => `.${extension}`),
)

/**
 * Types that run script though their name doesn't end in `xml`. The JavaScript types are all those
 * of MIME Sniffing, §4.6; `unknown` types are those that browsers guess from the bytes (§7.1, and
 * Firefox's `application/x-unknown-content-type`), so that HTML becomes a page.
 */
const SCRIPT_TYPES = new Set(
  `text/html text/xsl message/rfc822
   unknown/unknown application/unknown application/x-unknown-content-type
   application/ecmascript application/javascript application/x-ecmascript application/x-javascript
   text/ecmascript text/javascript text/javascript1.0 text/javascript1.1 text/javascript1.2
   text/javascript1.3 text/javascript1.4 text/javascript1.5 text/jscript text/livescript
   text/x-ecmascript text/x-javascript`.split(/\s+/),
)

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
  SCRIPT_TYPES.has(essence) || /^multipart\/|[/+]xml$/.test(essence)
