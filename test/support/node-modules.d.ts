/** What tests on Node use of its modules: the types of Node would also be those of the Worker's code. */
declare module 'node:fs' {
  export function mkdtempSync(prefix: string): string
  export function rmSync(path: string, options: { recursive: true }): void
  export function writeFileSync(path: string, text: string): void
}
declare module 'node:os' {
  export function tmpdir(): string
}
declare module 'node:path' {
  export function join(...parts: string[]): string
}
declare module 'node:child_process' {
  export function execFile(file: string, args: string[], done: (error: unknown) => void): void
}
declare module 'node:util' {
  export function promisify(
    run: (file: string, args: string[], done: (error: unknown) => void) => void,
  ): (file: string, args: string[]) => Promise<unknown>
}
declare const process: {
  readonly execPath: string
  readonly argv: string[]
  readonly version: string
}
interface ImportMeta {
  readonly dirname: string
}
