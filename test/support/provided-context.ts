import 'vitest'

/** The ports of the servers that the Worker tests share. */
export interface TestPorts {
  /** s3rver. */
  readonly s3: number
  /** A simulated R2, whose bucket has the same name and access key. */
  readonly r2: number
  /** A proxy in front of s3rver that counts requests. */
  readonly counting: number
  /** A server that breaks each response as the object key says. */
  readonly faulty: number
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** The endpoint of the s3rver that the Worker tests share. */
    s3Endpoint: string
    testPorts: TestPorts
    /** By how much property tests multiply their examples. */
    fuzzFactor: number
    /** How many hostile requests `test/fuzz/` sends. */
    hostileRequests: number
    /** Where `shared` finds the services of a run. */
    sharedServices: string
  }
}
