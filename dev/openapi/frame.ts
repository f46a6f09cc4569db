import type { Tag } from './operation.ts'

const REPOSITORY = 'https://github.com/edge-presigner/edge-presigner'

const DESCRIPTION = `Short-lived, signed access to private objects in S3-compatible buckets. The bytes go straight between the client and the bucket; only links pass through the Worker.

- Bodies are JSON with \`Content-Type: application/json\`, at most 64 KiB, or 2 MiB where they hold a list of keys or parts (1 MiB under \`/s3\`).
- Sizes are bytes, \`expiresIn\` is seconds, dates are ISO 8601 in UTC.
- HEAD is answered wherever GET is.
- Every answer carries \`X-Request-Id\`. Every error has the one shape \`Error\`; under \`/s3\` its message stands in \`error\` too.
- Members may be added to answers. Unknown members of a request are refused, but for those under \`/s3\`.`

const TAGS: Readonly<Record<Tag, string>> = {
  files: 'Upload and download URLs, and the index of what was uploaded.',
  multipart: 'Uploads in parts.',
  links: 'Links for `<img>`, email and the like.',
  tokens: 'Short-lived tokens for less than the caller may do.',
  uppy: 'What Uppy asks for: the S3 half of Companion, and `signRequest` of `@uppy/aws-s3` 6. Errors are `UppyError`. The bucket is the first one, except for `POST /s3/sign`.',
  health: 'Whether the Worker is set up.',
}

/** All of the document that is about no route. */
export const documentFrame = (version: string) => ({
  openapi: '3.1.0',
  info: {
    title: 'Edge presigner',
    version,
    description: DESCRIPTION,
    license: { name: 'MIT', identifier: 'MIT' },
  },
  externalDocs: { description: 'The same for people', url: `${REPOSITORY}/blob/main/docs/api.md` },
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
    'With a token in the path, for clients that cannot send headers. It goes before every header.',
  variables: {
    token: { default: 'ept_TOKEN', description: 'From the answer of `POST /tokens`.' },
  },
}

export const securitySchemes = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'ep_<id>_<secret>, ept_<token> or a JWT',
    description:
      'An API key, a token from `POST /tokens`, or a JWT of the configured issuer (the configuration may name another header for it). The names in a security requirement are the scopes that the caller needs.',
  },
}
