/** A principal that may do everything to every key. */
export const ANN = {
  id: 'ann',
  scopes: [
    'files:upload',
    'files:read',
    'files:list',
    'files:delete',
    'links:create',
    'tokens:create',
  ],
  prefix: '',
} as const
