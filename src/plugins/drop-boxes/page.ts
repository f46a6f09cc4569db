import { html } from 'hono/html'
import type { AppContext } from '../../http/app-env.ts'
import { type Page, readable } from '../../http/html-page.ts'
import type { PublicBox } from './box.ts'

/** Returns the page of a drop box. */
export function boxPage(_c: AppContext, box: PublicBox): Page {
  const { from, title, message, maxFiles, maxBytes, maxTotalBytes } = box
  const body = html`<h1>${readable(title)}</h1>
<p>${readable(from)} asks you for files.</p>
<p>${readable(message ?? '')}</p>
<p>Up to ${maxFiles} files of ${maxBytes} bytes, ${maxTotalBytes} bytes in all.</p>`
  return { title, body }
}
