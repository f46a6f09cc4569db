/** What tests on Node use of its SQLite: the types of Node would also be those of the Worker's code. */
declare module 'node:sqlite' {
  export class DatabaseSync {
    constructor(file: string)
    exec(sql: string): void
    prepare(sql: string): { all(...values: readonly unknown[]): readonly unknown[] }
  }
}
