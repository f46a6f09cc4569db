/**
 * Accepts files that are dropped anywhere on the page. By default, a browser leaves the page and
 * opens them. Leaves folders out, which have no bytes, and tells whether there were any.
 */
export function acceptDrops(onFiles: (files: readonly File[], hasFolders: boolean) => void): void {
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
    const files = dropped.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory)
    onFiles(
      files.flatMap((item) => item.getAsFile() ?? []),
      files.length < dropped.length,
    )
  })
}
