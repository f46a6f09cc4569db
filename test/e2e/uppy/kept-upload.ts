import type { Page } from 'playwright-core'
import { expect } from 'vitest'

/** Tells whether the storage of the page has a file and the id of its multipart upload. */
const IS_KEPT = `(async () => {
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open('uppy-blobs')
    request.onsuccess = () => resolve(request.result)
    request.onerror = reject
  })
  const ask = (name, method) =>
    new Promise((resolve, reject) => {
      const request = database.transaction(name).objectStore(name)[method]()
      request.onsuccess = () => resolve(request.result)
      request.onerror = reject
    })
  try {
    const states = Object.values(localStorage) // Uppy 5. Uppy 6 uses the database.
    if (database.objectStoreNames.contains('metadata'))
      for (const { metadata } of await ask('metadata', 'getAll')) states.push(metadata)
    const hasUpload = states.some((state) => state.includes('"s3Multipart":{'))
    return hasUpload && (await ask('files', 'count')) > 0
  } finally {
    database.close()
  }
})()`

/** Waits until Golden Retriever has stored an upload. It writes its state twice a second. */
export const uploadIsKept = (page: Page): Promise<void> =>
  expect.poll(() => page.evaluate<boolean>(IS_KEPT)).toBe(true)
