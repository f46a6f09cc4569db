/**
 * Shows a name in `element`: a start that may be cut off where space is short, and the extension,
 * which stays. The whole name is the tooltip. Each part has its own direction, so that a name in
 * Hebrew or Arabic is cut off at its end too.
 */
export function showName(element: HTMLElement, name: string): void {
  element.title = name
  element.replaceChildren(
    ...splitName(name).map((text) => {
      const part = document.createElement('bdi')
      part.textContent = text
      return part
    }),
  )
}

/** Returns what is before the extension, and the extension with its dot, if there is one. */
export function splitName(name: string): readonly [start: string, extension: string] {
  const extension = /\.[\p{L}\p{N}]{1,5}$/u.exec(name)?.[0] ?? ''
  return [name.slice(0, name.length - extension.length), extension]
}
