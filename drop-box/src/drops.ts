/**
 * Accepts files that are dropped anywhere on the page. By default, a browser leaves the page and
 * opens them. Folders are ignored, since they have no bytes.
 */
export function acceptDrops(onFiles: (files: readonly File[]) => void): void {
  const { classList } = document.documentElement
  addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    classList.add('over')
  })
  addEventListener('dragleave', () => classList.remove('over'))
  addEventListener('drop', (event) => {
    classList.remove('over')
    const { items = [] } = event.dataTransfer ?? {}
    const dropped = Array.from(items).filter(({ kind }) => kind === 'file')
    if (dropped.length === 0) return
    event.preventDefault()
    onFiles(
      dropped
        .filter((item) => !item.webkitGetAsEntry?.()?.isDirectory)
        .flatMap((item) => item.getAsFile() ?? []),
    )
  })
}
