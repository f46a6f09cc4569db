/**
 * SHA-256 of `file` in base64, as the API takes it. Reads the whole file into memory. Needs a
 * secure context.
 */
export async function sha256Of(file: Blob): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer())
  return btoa(String.fromCharCode(...new Uint8Array(digest)))
}
