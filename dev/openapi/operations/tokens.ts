import { token } from '../answers.ts'
import type { Operations } from '../operation.ts'

export const tokenOperations: Operations = {
  'POST /tokens': {
    id: 'createToken',
    tag: 'tokens',
    summary: 'Make a short-lived token',
    description:
      'For part of what the caller may do: never wider in scopes, prefix or life. A single token cannot be revoked.',
    scopes: ['tokens:create'],
    members: {
      scopes: { description: 'What the token may do; the caller must have each.' },
      prefix: {
        description: "Empty, or ends with `/`; must start with the caller's prefix, its default.",
        examples: ['team-a/'],
      },
      expiresIn: {
        description:
          "Seconds, not past the life of the caller's own credential. 600 unless given, or less where that ends before. More than 3600 only where `files:upload` is the only scope.",
        minimum: 1,
        maximum: 86_400,
      },
    },
    answers: { 200: { description: 'The token.', body: token } },
    errors: ['forbidden', 'invalid_key', 'invalid_expiry'],
  },
}
