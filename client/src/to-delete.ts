import type { FileToRemove } from './requests.ts'

/** Returns the keys or files of a body of `POST /files/delete`, in their order. */
export const toDelete = (
  files: readonly (string | FileToRemove)[],
): { readonly keys: readonly string[] } | { readonly files: readonly FileToRemove[] } => {
  const keys = files.filter((file) => typeof file === 'string')
  if (keys.length === files.length) return { keys }
  return { files: files.map((file) => (typeof file === 'string' ? { key: file } : file)) }
}
