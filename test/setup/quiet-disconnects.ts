/**
 * What workerd prints when tests close connections, leave bodies unread or empty the storage. The
 * tests check the responses for what matters.
 */
const EXPECTED = [
  /^(?:uncaught exception; )?exception = \S+ disconnected: /,
  /^uncaught exception; source = Uncaught \(in promise\); stack = Error: Network connection lost\./,
  /^Error writing HTTP body: \[Error: Network connection lost\.\]/,
  /^(?:uncaught )?exception\b.*\bError: Application called deleteAllDurableObjects\(\)\./,
  /^A header value for "CF-KV-Metadata" contains non-ASCII characters/,
]

/**
 * Filters these messages from the output, to which the Workers plugin writes workerd's log with one
 * message in each call. Returns a function that stops the filter.
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
