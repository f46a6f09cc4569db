import { html } from 'hono/html'
import type { AppContext } from '../../http/app-env.ts'
import { dateInWords, sizeInWords } from '../../http/format.ts'
import { htmlPage, readable } from '../../http/html-page.ts'
import { askedUrl, linkBase } from '../../http/link-host.ts'
import { newSecretId } from '../../state/item.ts'
import { type Grant, usesLeft } from './grant.ts'

/** What a visitor has done on the page of a grant. */
interface Progress {
  /** Whether this page has taken a use, and may fetch its link again. */
  readonly isRepeat: boolean
  /** Proves that the password was right. */
  readonly unlocked?: string
  /** Why the last attempt failed. */
  readonly error?: string
}

/** Returns the page of a grant. With a password, it shows the file only after that. */
export function grantPage(
  c: AppContext,
  grant: Grant,
  { isRepeat, unlocked, error }: Progress,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const { name, size, label, password } = grant
  const isLocked = password !== null && unlocked === undefined
  const note =
    label === null || isLocked
      ? ''
      : html`<figure>
<figcaption>Note from the sender</figcaption>
<blockquote>${readable(label)}</blockquote>
</figure>`
  const field = html`<p>
<label for="password">Password</label>
<input id="password" name="password" type="password" required maxlength="128" autocomplete="off"${
    error === undefined ? '' : html` aria-invalid="true" aria-describedby="error"`
  }>
</p>
<input type="hidden" name="show" value="1">`
  const proof =
    unlocked === undefined ? '' : html`<input type="hidden" name="unlocked" value="${unlocked}">`
  const title = isLocked ? 'A file with a password' : name
  const body = html`<h1>${readable(title)}</h1>
<p>${isLocked ? '' : `${sizeInWords(size)} \u00b7 `}${useInWords(grant, isRepeat)}</p>
${note}
<form method="post">
${error === undefined ? '' : html`<p id="error" role="alert">${readable(error)}</p>`}
${isLocked ? field : proof}
<input type="hidden" name="page" value="${newSecretId()}">
<p><button>${isLocked ? 'Continue' : isRepeat ? 'Download again' : 'Download'}</button></p>
</form>`
  // The page of a grant may be open at another host than that of its links.
  const { origin } = new URL(linkBase(c))
  const formTarget = origin === new URL(askedUrl(c)).origin ? undefined : origin
  return htmlPage(c, { title, body, formTarget }, status, headers)
}

/** Returns how often and until when a grant works. */
function useInWords(grant: Grant, isRepeat: boolean): string {
  const until = dateInWords(new Date(grant.deadline), 'en', 'UTC')
  const left = usesLeft(grant)
  if (isRepeat)
    return `Downloaded. It works again in this browser for 24 hours, and at most until ${until}.`
  if (left === null) return `Works until ${until}.`
  return `Works ${left === 1 ? 'once' : `${left} times`}, until ${until}.`
}
