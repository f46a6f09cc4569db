import { html } from 'hono/html'
import type { AppContext } from '../../http/app-env.ts'
import { htmlPage, readable } from '../../http/html-page.ts'
import type { Grant } from './grant.ts'

/** Returns the page of a grant. `error` says why the last attempt failed. */
export function grantPage(
  c: AppContext,
  { name, size, label, password }: Grant,
  error: string | null = null,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const note =
    label === null
      ? ''
      : html`<figure>
<figcaption>Note from the sender</figcaption>
<blockquote>${readable(label)}</blockquote>
</figure>`
  const field =
    password === null
      ? ''
      : html`<p>
<label for="password">Password</label>
<input id="password" name="password" type="password" required maxlength="128" autocomplete="off"${
          error === null ? '' : html` aria-invalid="true" aria-describedby="error"`
        }>
</p>`
  const body = html`<h1>${readable(name)}</h1>
<p>${sizeText(size)}</p>
${note}
<form method="post">
${error === null ? '' : html`<p id="error" role="alert">${readable(error)}</p>`}
${field}
<p><button>Download</button></p>
</form>`
  return htmlPage(c, { title: name, body }, status, headers)
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']

/** Returns `1.2 MB` for bytes, as people read it. */
export function sizeText(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return new Intl.NumberFormat('en', {
    style: 'unit',
    unit: UNITS[power] ?? 'byte',
    unitDisplay: power === 0 ? 'long' : 'short',
    maximumFractionDigits: 1,
  }).format(bytes / 1000 ** power)
}
