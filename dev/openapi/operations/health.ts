import { health } from '../answers.ts'
import type { Operations } from '../operation.ts'

export const healthOperations: Operations = {
  'GET /healthz': {
    id: 'getHealth',
    tag: 'health',
    summary: 'Whether the configuration is sound',
    description:
      'Open to all. Neither the bucket nor KV is asked. `issues` names each setting at fault, never a value.',
    answers: { 200: { description: 'It is.', body: health } },
    errors: ['misconfigured'],
  },
}
