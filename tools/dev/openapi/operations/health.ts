import { health } from '../answers.ts'
import type { Operations } from '../operation.ts'

export const healthOperations: Operations = {
  'GET /healthz': {
    id: 'getHealth',
    tag: 'health',
    summary: 'Check the configuration',
    description:
      'Needs no credentials. Sends no request to the bucket or to KV. `issues` names each invalid setting, never a value.',
    answers: { 200: { description: 'The configuration is valid.', body: health } },
    errors: [],
  },
}
