import type * as z from 'zod/mini'
import type { Scope } from '../../src/access/scopes.ts'
import type { ErrorCode } from '../../src/errors/api-error.ts'
import type { JsonSchema } from './json-schema.ts'

export type Tag = 'files' | 'links' | 'multipart' | 'tokens' | 'uppy' | 'health'

/**
 * What the schema of a member doesn't say: its description, and bounds that are checked after it.
 */
export interface Member extends JsonSchema {
  readonly description: string
}

export type Members = Readonly<Record<string, Member>>

export interface Answer {
  readonly description: string
  /** One of answers.ts for JSON; a media type for other bodies; undefined for none. */
  readonly body?: z.ZodMiniType | string
  /** Descriptions by name. */
  readonly headers?: Readonly<Record<string, string>>
}

/** What is said of a route beyond what its schemas say. */
export interface Operation {
  readonly id: string
  readonly tag: Tag
  readonly summary: string
  readonly description?: string
  /** What the caller must have; undefined where anyone may ask. */
  readonly scopes?: readonly Scope[]
  /** Members of the body and the query, where they differ from COMMON_MEMBERS. */
  readonly members?: Members
  /** Header fields of the request that change the answer: descriptions by name. */
  readonly headers?: Readonly<Record<string, string>>
  /** What a handler takes that checks its query by hand. */
  readonly query?: z.ZodMiniType<object>
  /** What a handler takes that checks its body by hand. */
  readonly body?: z.ZodMiniType<object>
  /** By status. */
  readonly answers: Readonly<Record<number, Answer>>
  /** Beside those that follow from the credentials, the query and the body: error-responses.ts. */
  readonly errors: readonly ErrorCode[]
}

/** By the route as docs/api.md writes it: `GET /files/:key/url`. */
export type Operations = Readonly<Record<string, Operation>>
