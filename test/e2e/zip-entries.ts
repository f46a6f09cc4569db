/** A file of a ZIP. */
export interface ZipEntry {
  readonly name: string
  readonly text: string
}

/** Reads a ZIP without compression by its central directory (APPNOTE.TXT, 4.3.12 and 4.3.7). */
export function readZip(bytes: Buffer): readonly ZipEntry[] {
  const end = bytes.lastIndexOf('PK\x05\x06')
  const entries: ZipEntry[] = []
  let at = bytes.readUInt32LE(end + 16)
  for (let count = bytes.readUInt16LE(end + 10); count > 0; count--) {
    const nameLength = bytes.readUInt16LE(at + 28)
    const name = bytes.toString('utf8', at + 46, at + 46 + nameLength)
    const local = bytes.readUInt32LE(at + 42)
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28)
    entries.push({ name, text: bytes.toString('utf8', start, start + bytes.readUInt32LE(at + 24)) })
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32)
  }
  return entries
}
