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
          "Seconds, not past the life of the caller's own credential. 600 unless given, or less where that ends before.",
        minimum: 1,
        maximum: 3600,
      },
    },
    answers: { 200: { description: 'The token.', body: token } },
    errors: ['forbidden', 'invalid_key', 'invalid_expiry'],
  },
}
