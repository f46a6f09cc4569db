import type { Folder } from '../../../client/src/index.ts'
import { element } from '../element.ts'
import { icon } from '../icon.ts'
import { filesInWords, sizeInWords } from '../words.ts'

/** Returns the list item of one folder. */
export function folderTile(
  { prefix, count, bytes }: Folder,
  onOpen: (prefix: string) => void,
): HTMLLIElement {
  const name = prefix.split('/').at(-2) ?? ''
  const button = element(
    'button',
    { type: 'button', className: 'folder', title: name },
    icon('folder'),
    element('bdi', {}, name || '/'),
    element('span', {}, `${filesInWords(count)}, ${sizeInWords(bytes)}`),
  )
  button.addEventListener('click', () => onOpen(prefix))
  return element('li', {}, button)
}

/** Returns the steps from `root` to `prefix`. All but the last one open a folder. */
export function pathItems(
  root: string,
  prefix: string,
  onOpen: (prefix: string) => void,
): readonly HTMLLIElement[] {
  const names = prefix.slice(root.length).split('/').slice(0, -1)
  return ['All files', ...names].map((name, depth) => {
    const at =
      root +
      names
        .slice(0, depth)
        .map((each) => `${each}/`)
        .join('')
    const text = element('bdi', {}, name || '/')
    if (depth === names.length) {
      const here = element('span', { tabIndex: -1 }, text)
      here.setAttribute('aria-current', 'location')
      return element('li', {}, here)
    }
    const button = element('button', { type: 'button', className: 'text-button' }, text)
    button.addEventListener('click', () => onOpen(at))
    return element('li', {}, button)
  })
}
