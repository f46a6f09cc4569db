/** The permissions that a principal can have. */
export const SCOPES = [
  'files:upload',
  'files:read',
  'files:list',
  'files:delete',
  'files:record',
  'files:purge',
  'links:create',
  'tokens:create',
  'keys:choose',
  'grants:create',
  'drop-boxes:create',
] as const

export type Scope = (typeof SCOPES)[number]
