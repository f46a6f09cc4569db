import type { Body, Meta, Uppy, UppyFile } from '@uppy/core'

const collator = new Intl.Collator('en', { numeric: true })

/**
 * Uploads the files of a batch from the last name to the first. The index lists new keys first, so
 * it then shows the names in their order. Calls `onBatch` before, with the files in this order.
 */
export function uploadLastNameFirst<M extends Meta, B extends Body>(
  uppy: Uppy<M, B>,
  onBatch: (files: readonly UppyFile<M, B>[]) => void,
): void {
  const nameOf = (id: string) => uppy.getFile(id)?.name ?? ''
  // Uppy hands the same array to its uploader.
  uppy.addPreProcessor(async (ids) => {
    ids.sort((a, b) => collator.compare(nameOf(b), nameOf(a)))
    onBatch(uppy.getFilesByIds(ids.toReversed()))
  })
}
