/** Returns `seconds` of silence: WAVE, PCM, 16 bits, one channel, 44,100 samples a second. */
export function silentWav(seconds: number): Buffer {
  const rate = 44_100
  const dataBytes = seconds * rate * 2
  const header = Buffer.alloc(44)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(36 + dataBytes, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(16, 16) // Length of the format chunk
  header.writeUInt16LE(1, 20) // PCM
  header.writeUInt16LE(1, 22) // channels
  header.writeUInt32LE(rate, 24)
  header.writeUInt32LE(rate * 2, 28) // bytes a second
  header.writeUInt16LE(2, 32) // bytes a sample
  header.writeUInt16LE(16, 34) // bits a sample
  header.write('data', 36, 'latin1')
  header.writeUInt32LE(dataBytes, 40)
  return Buffer.concat([header, Buffer.alloc(dataBytes)])
}
