import 'vitest'

/** Ports of the servers that the Worker tests share. */
export interface TestPorts {
  /** s3rver. */
  readonly s3: number
  /** A proxy in front of s3rver that counts what passes. */
  readonly counting: number
  /** A server that breaks each answer as the object key says. */
  readonly faulty: number
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** Endpoint of the s3rver that the Worker tests share. */
    s3Endpoint: string
    testPorts: TestPorts
  }
}
