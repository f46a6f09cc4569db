/** Returns `size` reproducible bytes that differ from one mebibyte to the next. */
export function patternBytes(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size)
  for (let index = 0; index < size; index++) bytes[index] = (index * 7 + (index >> 20)) % 251
  return bytes
}
