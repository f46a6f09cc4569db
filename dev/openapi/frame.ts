import type { Tag } from './operation.ts'

const REPOSITORY = 'https://github.com/edge-presigner/edge-presigner'

const DESCRIPTION = `Short-lived, signed access to private objects in S3-compatible buckets. Clients send and receive the bytes directly from the bucket. Only links pass through the Worker.

- Bodies are JSON with \`Content-Type: application/json\`, at most 64 KiB, or 2 MiB if they contain a list of keys or parts (1 MiB under \`/s3\`).
- Sizes are in bytes, \`expiresIn\` is in seconds, and dates are ISO 8601 in UTC.
- Every route with GET also supports HEAD.
- Every response has the header \`X-Request-Id\`. Every error has the shape \`Error\`. Under \`/s3\`, the message is also in \`error\`.
- New versions may add members to responses. The Worker refuses unknown members of a request, except under \`/s3\`.`

const TAGS: Readonly<Record<Tag, string>> = {
  files: 'Upload and download URLs, and the index of uploaded files.',
  multipart: 'Uploads in parts.',
  links: 'Links for `<img>`, email and similar uses.',
  tokens: 'Short-lived tokens with a part of the rights of the caller.',
  uppy: 'The routes that Uppy calls: the S3 routes of Companion, and one for `signRequest` of `@uppy/aws-s3` 6. Errors are `UppyError`. They use the first bucket. Only `POST /s3/sign` accepts another one.',
  health: 'The state of the configuration.',
}

/** The parts of the document that are not about a route. */
export const documentFrame = (version: string) => ({
  openapi: '3.1.0',
  info: {
    title: 'Edge presigner',
    version,
    description: DESCRIPTION,
    license: { name: 'MIT', identifier: 'MIT' },
  },
  externalDocs: {
    description: 'The API reference for people',
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
    'With a token in the path, for clients that cannot send headers. The token takes precedence over every header.',
  variables: {
    token: { default: 'ept_TOKEN', description: 'From the response of `POST /tokens`.' },
  },
}

export const securitySchemes = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'ep_<id>_<secret>, ept_<token> or a JWT',
    description:
      'An API key, a token from `POST /tokens`, or a JWT of the configured issuer (the configuration can set another header for it). The names in a security requirement are the scopes that the caller needs.',
  },
}
