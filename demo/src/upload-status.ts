import type { Body, Meta, Uppy, UppyFile } from '@uppy/core'
import { filesInWords } from './words.ts'

const FINISHING = 'Finishing…'

/**
 * Returns what the title of the Dashboard says while files are uploading. Uppy's own title counts
 * only the files that are not complete.
 */
export function uploadTitle<M extends Meta, B extends Body>(
  files: readonly UppyFile<M, B>[],
): string {
  const started = files.filter(({ progress }) => progress.uploadStarted)
  const incomplete = started.filter(({ progress, error }) => !progress.uploadComplete && !error)
  // Uppy rounds, and ignores what it sends after that.
  const isSent = incomplete.every(({ progress }) => progress.percentage === 100)
  // The bucket joins the parts now, or the Worker records the files.
  return isSent ? FINISHING : `Uploading ${filesInWords(started.length)}`
}

/**
 * Shows 99 % instead of 100 % until all files are complete. A bucket may need a minute to join the
 * parts of a file after the last byte.
 */
export function reserveLastPercent<M extends Meta, B extends Body>(uppy: Uppy<M, B>): void {
  uppy.on('state-update', (_before, { totalProgress }) => {
    if (totalProgress !== 100) return
    const isPending = uppy
      .getFiles()
      .some(({ progress }) => progress.uploadStarted && !progress.uploadComplete)
    if (isPending) uppy.setState({ totalProgress: 99 })
  })
}
