import { token } from '../answers.ts'
import type { Operations } from '../operation.ts'

export const tokenOperations: Operations = {
  'POST /tokens': {
    id: 'createToken',
    tag: 'tokens',
    summary: 'Create a short-lived token',
    description:
      "The token has some or all of the caller's rights. It never exceeds the caller's scopes, prefix or lifetime. You cannot revoke a single token.",
    scopes: ['tokens:create'],
    members: {
      scopes: { description: 'What the token may do. The caller must have all of these scopes.' },
      prefix: {
        description:
          "Empty, or ends with `/`. Must start with the caller's prefix, which is the default.",
        examples: ['team-a/'],
      },
      expiresIn: {
        description:
          "Seconds, at most until the caller's own credential expires. The default is 600, or less if that credential expires sooner. More than 3600 only if `files:upload` is the only scope.",
        minimum: 1,
        maximum: 86_400,
      },
    },
    answers: { 200: { description: 'The token.', body: token } },
    errors: ['forbidden', 'invalid_key', 'invalid_expiry'],
  },
}
