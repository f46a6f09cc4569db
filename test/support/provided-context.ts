import 'vitest'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Endpoint of the s3rver that the Worker tests share. */
    s3Endpoint: string
  }
}
