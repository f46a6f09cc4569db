/** What a principal may be allowed to do. */
export const SCOPES = [
  'files:upload',
  'files:read',
  'files:list',
  'files:delete',
  'links:create',
  'tokens:create',
] as const

export type Scope = (typeof SCOPES)[number]
