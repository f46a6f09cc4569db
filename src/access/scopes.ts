/** The permissions that every kind of credential can have. */
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
  'objects:list',
  'files:delete-all',
  'upkeep:read',
] as const

/** The permissions of an API key. Tokens, JWTs and an app's login never have the last two. */
export const KEY_SCOPES = [...SCOPES, 'index:write', 'upkeep:run'] as const

export type Scope = (typeof KEY_SCOPES)[number]
