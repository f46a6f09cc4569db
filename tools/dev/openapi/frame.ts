import type { Tag } from './operation.ts'

const REPOSITORY = 'https://github.com/edge-presigner/edge-presigner'

const DESCRIPTION = `Short-lived, signed access to private objects in S3-compatible buckets. The bytes go directly between the client and the bucket. Only links pass through the Worker.

- Bodies are JSON with \`Content-Type: application/json\`, at most 64 KiB, or 2 MiB if they contain a list of keys or parts (1 MiB under \`/s3\`).
- Sizes are bytes, \`expiresIn\` is seconds, dates are ISO 8601 in UTC.
- Every route that supports GET also supports HEAD.
- Every response to valid credentials has the caller's tag in \`X-User-Tag\`. A request with another tag is 409 \`user_changed\`, and has no effect.
- Every response has \`X-Request-Id\`. Every error has the shape \`Error\`. Under \`/s3\`, \`error\` also contains the message.
- New versions may add members to responses. The Worker refuses unknown members in a request, except under \`/s3\`.`

const TAGS: Readonly<Record<Tag, string>> = {
  files: 'Upload and download URLs, and the index of uploaded files.',
  multipart: 'Uploads in parts.',
  links: 'Links for `<img>`, email and similar uses.',
  grants: 'Links that count and can be revoked.',
  'drop-boxes': 'Pages on which anybody can drop files.',
  tokens: "Short-lived tokens with some or all of the caller's rights.",
  admin: 'What is in the bucket, and all records of an index.',
  upkeep: 'What differs between buckets and index, and how far upkeep has come.',
  notifications: 'What buckets report about their objects.',
  uppy: 'Routes for Uppy: the S3 part of Companion, and `signRequest` of `@uppy/aws-s3` 6. Errors are `UppyError`. The bucket is the first one, except for `POST /s3/sign`.',
  health: 'Whether the Worker is configured.',
}

/** The parts of the document that don't belong to a route. */
export const documentFrame = (version: string) => ({
  openapi: '3.1.0',
  info: {
    title: 'Edge presigner',
    version,
    description: DESCRIPTION,
    license: { name: 'MIT', identifier: 'MIT' },
  },
  externalDocs: {
    description: 'The same API, described for people',
    url: `${REPOSITORY}/blob/main/docs/api.md`,
  },
  servers: [{ url: HERE, description: 'With credentials in a header.' }, TOKEN_PATH],
  tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
})

/**
 * Next to where the document is served, also below a mount path: a relative URL of a server is
 * relative to the document (OpenAPI 3.1, "Server Object").
 */
export const HERE = '.'

/**
 * OpenAPI has no security scheme for a credential in the path. But it has servers with variables,
 * and that is what `/u/:token` is: all routes that need credentials, under another base.
 */
const TOKEN_PATH = {
  url: 'u/{token}',
  description:
    'With a token from `POST /tokens` in the path, for clients that cannot send headers. It takes precedence over every header.',
  variables: {
    // Without a description: OpenAPI 3.1's own schema misspells that member, and validators refuse it.
    token: { default: 'ept_TOKEN' },
  },
}

export const securitySchemes = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'ep_<id>_<secret>, ept_<token> or a JWT',
    description:
      'An API key, a token from `POST /tokens`, or a JWT from the configured issuer (the configuration may name another header for it). The names in a security requirement are the scopes that the caller needs.',
  },
}
