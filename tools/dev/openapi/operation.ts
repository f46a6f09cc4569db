import type * as z from 'zod/mini'
import type { Scope } from '../../../src/access/scopes.ts'
import type { ErrorCode } from '../../../src/errors/api-error.ts'
import type { JsonSchema } from './json-schema.ts'

export type Tag =
  | 'files'
  | 'links'
  | 'grants'
  | 'drop-boxes'
  | 'multipart'
  | 'tokens'
  | 'admin'
  | 'upkeep'
  | 'notifications'
  | 'uppy'
  | 'health'

/** What the schema of a member lacks: its description, and bounds that are checked later. */
export interface Member extends JsonSchema {
  readonly description: string
}

export type Members = Readonly<Record<string, Member>>

export interface Answer {
  readonly description: string
  /** A schema of answers.ts for JSON, a media type for other bodies, undefined for none. */
  readonly body?: z.ZodMiniType | string
  /** Descriptions by name. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The description of a route, in addition to its schemas. */
export interface Operation {
  readonly id: string
  readonly tag: Tag
  readonly summary: string
  readonly description?: string
  /** The scopes that the caller needs; undefined if the route needs no credentials. */
  readonly scopes?: readonly Scope[]
  /** Members of the body and the query, where they differ from COMMON_MEMBERS. */
  readonly members?: Members
  /** Header fields of the request that change the response: descriptions by name. */
  readonly headers?: Readonly<Record<string, string>>
  /** The query of a handler that checks it by hand. */
  readonly query?: z.ZodMiniType<object>
  /** The body of a handler that checks it by hand. */
  readonly body?: z.ZodMiniType<object>
  /** By status. */
  readonly answers: Readonly<Record<number, Answer>>
  /** In addition to those for credentials, query and body: error-responses.ts. */
  readonly errors: readonly ErrorCode[]
}

/** By the route as docs/api.md writes it: `GET /files/:key/url`. */
export type Operations = Readonly<Record<string, Operation>>
