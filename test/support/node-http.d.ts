/** The part of Node's HTTP that the test of its handler and docs/mount.md need. */
declare module 'node:http' {
  export interface IncomingMessage extends AsyncIterable<Uint8Array<ArrayBuffer>> {
    readonly method?: string
    readonly url?: string
    readonly statusCode?: number
    readonly rawHeaders: string[]
    readonly headers: {
      readonly host?: string
      readonly cookie?: string
      readonly 'content-type'?: string
    }
    readonly socket: object
    readonly readableDidRead: boolean
    once(event: 'data', listener: () => void): unknown
  }

  export interface ServerResponse {
    statusCode: number
    setHeader(name: string, value: string | readonly string[]): unknown
    write(chunk: Uint8Array): boolean
    end(): unknown
    destroy(): unknown
    once(event: 'drain' | 'close', listener: () => void): unknown
  }

  export function createServer(
    listener: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
  ): {
    listen(port: number, listener: () => void): unknown
    listen(port: number, host: string, listener: () => void): unknown
    address(): { readonly port: number } | string | null
    closeAllConnections(): void
    close(): unknown
  }

  export function request(
    url: string,
    options: { readonly path?: string; readonly headers: Record<string, string> },
    listener: (response: IncomingMessage) => void,
  ): { on(event: 'error', listener: () => void): unknown; end(): unknown; destroy(): unknown }
}
