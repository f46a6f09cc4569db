import { splitFileName } from './file-name.ts'

/** Extensions under which a browser that opens the object may run script in the bucket's origin. */
const SCRIPT_EXTENSIONS = new Set(
  `html htm shtml xhtml xht mht mhtml svg svgz xml xsl xslt xsd rng rdf rss atom mathml mml js mjs cjs
   gpx kml tcx dae x3d musicxml xspf xlf xliff owl wsdl xaml ttml smil ssml sru gml opf ncx`
    .split(/\s+/)
    .map((extension) => `.${extension}`),
)

/** Types that run script though their name doesn't end in `xml`. */
const SCRIPT_TYPES = new Set([
  'text/html',
  'text/xsl',
  'multipart/related',
  'multipart/x-mixed-replace',
  'message/rfc822',
  'text/javascript',
  'text/ecmascript',
  'application/javascript',
  'application/ecmascript',
  'application/x-javascript',
  'application/x-ecmascript',
])

/**
 * Whether an object under `key` may run script when a browser opens it, told from its extension.
 */
export const keyRunsScript = (key: string): boolean =>
  SCRIPT_EXTENSIONS.has(splitFileName(key).extension)

/**
 * Whether a browser may run script in a document of the type `essence` (lower case, without
 * parameters): HTML, all XML types (MIME Sniffing, §4.6 "XML MIME type") and JavaScript itself.
 */
export const typeRunsScript = (essence: string): boolean =>
  SCRIPT_TYPES.has(essence) || essence.endsWith('/xml') || essence.endsWith('+xml')
