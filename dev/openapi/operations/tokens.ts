import { token } from '../answers.ts'
import type { Operations } from '../operation.ts'

export const tokenOperations: Operations = {
  'POST /tokens': {
    id: 'createToken',
    tag: 'tokens',
    summary: 'Create a short-lived token',
    description:
      "The token has a part of the caller's rights. Its scopes, prefix and lifetime never exceed the caller's. You cannot revoke a single token.",
    scopes: ['tokens:create'],
    members: {
      scopes: { description: 'Scopes of the token. The caller must have all of them.' },
      prefix: {
        description:
          "Empty, or ends with `/`. It must start with the caller's prefix, which is the default.",
        examples: ['team-a/'],
      },
      expiresIn: {
        description:
          "Lifetime in seconds. The token never outlives the caller's own credential. The default is 600, or less if that credential expires earlier. More than 3600 is allowed only if `files:upload` is the only scope.",
        minimum: 1,
        maximum: 86_400,
      },
    },
    answers: { 200: { description: 'The token.', body: token } },
    errors: ['forbidden', 'invalid_key', 'invalid_expiry'],
  },
}
