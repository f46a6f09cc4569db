/** Returns a new element with these properties and children. Strings become text. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Partial<HTMLElementTagNameMap[Tag]> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

/** Returns a button whose accessible name says what it is about. */
export function buttonFor(words: string, about: string, onClick: () => void): HTMLButtonElement {
  const button = element('button', { type: 'button', className: 'secondary' }, words)
  button.setAttribute('aria-label', `${words} ${about}`)
  button.addEventListener('click', onClick)
  return button
}
