import type { Body, Meta, Uppy } from '@uppy/core'

/** After this long without progress, the page says so. */
const PATIENCE_MILLISECONDS = 8000
/** After this long, the request starts again. A browser doesn't always report a lost connection. */
const SILENCE_MILLISECONDS = 45_000

/**
 * Watches the progress of all uploads. Calls `onStall` with an error if the bucket takes no bytes
 * for a while, and with `undefined` when it does again.
 */
export function watchProgress<M extends Meta, B extends Body>(
  uppy: Uppy<M, B>,
  onStall: (error?: Error) => void,
): void {
  let lastByteAt = 0
  let isSilent = false
  const settle = () => {
    lastByteAt = Date.now()
    if (isSilent) onStall()
    isSilent = false
  }
  for (const event of ['upload-start', 'upload-progress', 'resume-all'] as const)
    uppy.on(event, settle)
  const sending = () =>
    uppy.getState().recoveredState === null
      ? uppy.getFiles().filter(({ error, isPaused, progress }) => {
          const { uploadStarted, bytesUploaded, bytesTotal } = progress
          return uploadStarted && !error && !isPaused && Number(bytesUploaded) < Number(bytesTotal)
        })
      : []
  const restart = () => {
    lastByteAt = Date.now()
    for (const { id } of sending()) {
      uppy.pauseResume(id)
      uppy.pauseResume(id)
    }
  }
  addEventListener('online', () => {
    if (isSilent) restart()
  })
  setInterval(() => {
    if (!navigator.onLine || sending().length === 0) {
      settle()
      return
    }
    const silence = Date.now() - lastByteAt
    if (silence > PATIENCE_MILLISECONDS && !isSilent) {
      isSilent = true
      onStall(Object.assign(new Error('No progress'), { code: 'NETWORK' }))
    }
    if (silence > SILENCE_MILLISECONDS) restart()
  }, 1000)
}

/** Makes the browser ask before the user leaves the page while `isBusy` is true. */
export function askBeforeLeaving(isBusy: () => boolean): void {
  addEventListener('beforeunload', (event) => {
    if (isBusy()) event.preventDefault()
  })
}
