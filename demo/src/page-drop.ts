/**
 * Accepts files that are dropped anywhere on the page. By default, a browser leaves the page and
 * opens them. Uppy handles its own drops.
 */
export function acceptDrops(onFiles: (files: Iterable<File>) => void): void {
  const isOfFiles = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes('Files') === true
  document.addEventListener('dragover', (event) => {
    if (!isOfFiles(event)) return
    event.preventDefault()
    document.documentElement.classList.add('is-dragging')
  })
  for (const type of ['dragleave', 'drop'] as const)
    document.addEventListener(type, () => document.documentElement.classList.remove('is-dragging'))
  document.addEventListener('drop', (event) => {
    if (!isOfFiles(event)) return
    event.preventDefault()
    onFiles(event.dataTransfer?.files ?? [])
  })
}
