/**
 * What workerd prints of connections that tests cut, bodies that they leave and storage that they
 * empty. What matters of these shows in the answers, which the tests check.
 */
const EXPECTED = [
  /^(?:uncaught exception; )?exception = \S+ disconnected: /,
  /^uncaught exception; source = Uncaught \(in promise\); stack = Error: Network connection lost\./,
  /^Error writing HTTP body: \[Error: Network connection lost\.\]/,
  /^(?:uncaught )?exception\b.*\bError: Application called deleteAllDurableObjects\(\)\./,
  /^A header value for "CF-KV-Metadata" contains non-ASCII characters/,
]

/**
 * Keeps these from the output, where the Workers plugin writes workerd's log, one message a call.
 * Returns what ends that.
 */
export function quietDisconnects(): () => void {
  const ends = [process.stdout, process.stderr].map((stream) => {
    const { write } = stream
    const quiet: typeof write = (text: string | Uint8Array, ...rest: unknown[]) =>
      EXPECTED.some((pattern) => pattern.test(String(text))) ||
      Reflect.apply(write, stream, [text, ...rest])
    stream.write = quiet
    return () => {
      stream.write = write
    }
  })
  return () => {
    for (const end of ends) end()
  }
}
