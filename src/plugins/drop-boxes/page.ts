import { html } from 'hono/html'
import { PAGE_SCRIPT, PAGE_SCRIPT_NAME } from '../../../drop-box/dist/page-script.js'
import type { AppContext } from '../../http/app-env.ts'
import { dateInWords, sizeInWords } from '../../http/format.ts'
import { htmlPage, readable } from '../../http/html-page.ts'
import { type BoxData, capacityInWords, typesInWords } from './box-data.ts'

/** What the page of a drop box shows. Everything but numbers and dates is text of its creator. */
export interface BoxOnPage extends BoxData {
  readonly title: string
  readonly message: string | null
  /** ISO 8601 in UTC. */
  readonly deadline: string
  /** Origins to which the script sends files: those of the bucket, as clients see it. */
  readonly connect: readonly string[]
}

/** The path of the script, below `/d/`. A secret id has no dot. */
export const SCRIPT_PATH: `/d/${string}` = `/d/${PAGE_SCRIPT_NAME}`

/** Returns the script of the page. Its name has the digest of its content. */
export const scriptOfPage = (): Response =>
  new Response(PAGE_SCRIPT, {
    headers: {
      'Content-Type': 'text/javascript; charset=utf-8',
      'Cache-Control': 'public, max-age=31536000, immutable',
      'Cross-Origin-Resource-Policy': 'same-origin',
    },
  })

/** Returns the page on which a visitor sends files to a drop box. Its URL is `/d/<secret id>`. */
export function boxPage(c: AppContext, box: BoxOnPage): Response {
  const { title, message, deadline, maxBytes, allowedTypes, left } = box
  const from = readable(box.from)
  const data: BoxData = {
    from,
    maxFiles: box.maxFiles,
    maxBytes,
    maxTotalBytes: box.maxTotalBytes,
    allowedTypes,
    hasPassword: box.hasPassword,
    left,
  }
  const isFull = left.files <= 0 || left.bytes <= 0
  const facts = html`<p class="small">${from} asks you for files</p>
<h1>${readable(title)}</h1>
${message === null ? '' : html`<p class="text">${lines(message)}</p>`}
<dl>
<dt>Until</dt><dd><time datetime="${deadline}">${dateInWords(new Date(deadline), 'en', 'UTC')}</time></dd>
<dt>Size</dt><dd>up to ${sizeInWords(maxBytes)} per file</dd>
<dt>Types</dt><dd>${typesInWords(allowedTypes?.map(readable))}</dd>
<dt>Left</dt><dd id="room">${capacityInWords(data, left, sizeInWords)}</dd>
</dl>`
  if (isFull) {
    const body = html`${facts}<p id="full" role="status">This page has received all the files that it accepts.</p>`
    return htmlPage(c, { title, body })
  }
  const body = html`${facts}
<noscript><p class="error">To send files, turn on JavaScript for this page.</p></noscript>
<form id="unlock" hidden>
<label>Password <input type="password" name="password" required maxlength="128" autocomplete="off" aria-describedby="wrong"></label>
<p id="wrong" class="error" role="alert" hidden></p>
<button type="submit">Continue</button>
</form>
<form id="send" data-box="${JSON.stringify(data)}" hidden>
<section id="thanks" class="thanks" tabindex="-1" aria-labelledby="thank-you" hidden>
<h2 id="thank-you">Thank you</h2>
<p></p>
</section>
<label class="drop"><b>Choose files</b><span class="wide"> or drop them here</span>
<input type="file" multiple aria-describedby="later" accept="${allowedTypes?.join(',')}"></label>
<p id="kept" class="small" hidden></p>
<ul class="files" aria-label="Your files"></ul>
<label>Your name (optional) <input name="name" maxlength="200" autocomplete="name"></label>
<label>Note (optional) <textarea name="note" rows="2"></textarea></label>
<p id="problem" class="error" role="alert" hidden></p>
<button type="submit" hidden></button>
<p id="status" class="unseen" role="status"></p>
<p id="later" class="small">If the page closes while it sends, open it again and choose the same files. Large files continue where they stopped.</p>
</form>`
  return htmlPage(c, { title, body, script: PAGE_SCRIPT_NAME, connect: box.connect })
}

/** Returns text of several lines that can be shown. */
const lines = (text: string): string =>
  text
    .split(/\r\n?|\n/)
    .map(readable)
    .join('\n')
