import { limits, token } from '../answers.ts'
import type { Operations } from '../operation.ts'

export const tokenOperations: Operations = {
  'POST /tokens': {
    id: 'createToken',
    tag: 'tokens',
    summary: 'Create a short-lived token',
    description:
      "The token has some or all of the caller's rights. A request for more than the caller may do is refused. You cannot revoke a single token.",
    scopes: ['tokens:create'],
    members: {
      scopes: { description: 'What the token may do. The caller must have all of these scopes.' },
      prefix: {
        description:
          "Empty, or ends with `/` and has no empty segment. Must start with the caller's prefix, which is the default.",
        examples: ['team-a/'],
      },
      expiresIn: {
        description:
          "Seconds, at most until the caller's own credential expires. The default is 600, or less if that credential expires sooner. More than 3600 only if `files:upload` is the only scope.",
        minimum: 1,
        maximum: 86_400,
      },
      subject: {
        description:
          "The app's id of the user. The token then has its own principal: `key:app/alice`. Only an API key can set one.",
        examples: ['alice'],
      },
      buckets: {
        description:
          "Aliases of the buckets that the token may use. The first one is its default. The default is the caller's list.",
      },
      maxBytes: { description: "Maximum size of an upload. The default is the caller's limit." },
      allowedTypes: {
        description: "Types that may be uploaded. The default is the caller's list.",
      },
      maxExpiresIn: {
        description:
          'The longest lifetime of a URL or link that the token may sign, in seconds. Twice the `expiresIn` of a link counts.',
      },
      context: {
        description:
          "Any JSON of at most 1024 bytes. It comes back in events. Only an API key or an app's login can set one.",
      },
    },
    answers: { 200: { description: 'The token.', body: token } },
    errors: ['forbidden', 'invalid_key', 'invalid_expiry', 'unknown_bucket'],
  },
  'GET /limits': {
    id: 'getLimits',
    tag: 'tokens',
    summary: 'What the caller may do',
    description: 'For a page, before its user picks a file. Every valid credential can ask.',
    scopes: [],
    answers: { 200: { description: 'The scopes, the prefix and the limits.', body: limits } },
    errors: [],
  },
}
