import type * as z from 'zod/mini'
import type { Scope } from '../../src/access/scopes.ts'
import type { ErrorCode } from '../../src/errors/api-error.ts'
import type { JsonSchema } from './json-schema.ts'

export type Tag = 'files' | 'links' | 'multipart' | 'tokens' | 'uppy' | 'health'

/**
 * What the schema of a member doesn't contain: its description, and limits that later code checks.
 */
export interface Member extends JsonSchema {
  readonly description: string
}

export type Members = Readonly<Record<string, Member>>

export interface Answer {
  readonly description: string
  /** A schema of answers.ts for JSON, a media type for other bodies, undefined for no body. */
  readonly body?: z.ZodMiniType | string
  /** Descriptions by name. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The description of a route, without what its schemas contain. */
export interface Operation {
  readonly id: string
  readonly tag: Tag
  readonly summary: string
  readonly description?: string
  /** The scopes that the caller needs; undefined if the route needs no credentials. */
  readonly scopes?: readonly Scope[]
  /** Members of the body and the query that differ from COMMON_MEMBERS. */
  readonly members?: Members
  /** Descriptions by name of the request headers that change the response. */
  readonly headers?: Readonly<Record<string, string>>
  /** The query of a handler that checks it without a schema. */
  readonly query?: z.ZodMiniType<object>
  /** The body of a handler that checks it without a schema. */
  readonly body?: z.ZodMiniType<object>
  /** By status. */
  readonly answers: Readonly<Record<number, Answer>>
  /** Without those that follow from the credentials, the query and the body: error-responses.ts. */
  readonly errors: readonly ErrorCode[]
}

/** By route, as in docs/api.md: `GET /files/:key/url`. */
export type Operations = Readonly<Record<string, Operation>>
