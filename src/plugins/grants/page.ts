import { html } from 'hono/html'
import type { AppContext } from '../../http/app-env.ts'
import { htmlPage, readable } from '../../http/html-page.ts'
import { askedUrl, linkBase } from '../../http/link-host.ts'
import { sizeInWords } from '../../http/words.ts'
import { newSecretId } from '../../state/secret-id.ts'
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
<p>${sizeInWords(size)}</p>
${note}
<form method="post">
${error === null ? '' : html`<p id="error" role="alert">${readable(error)}</p>`}
${field}
<input type="hidden" name="page" value="${newSecretId()}">
<p><button>Download</button></p>
</form>`
  // The page of a grant may be open at another host than that of its links.
  const { origin } = new URL(linkBase(c))
  const formTarget = origin === new URL(askedUrl(c)).origin ? undefined : origin
  return htmlPage(c, { title: name, body, formTarget }, status, headers)
}
