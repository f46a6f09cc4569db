import { ApiError } from '../../errors/api-error.ts'
import type { ItemKind } from '../../state/item.ts'
import type { Seen } from '../../state/list.ts'
import { type Remote, stateObject } from '../../state/object.ts'
import type { Grants } from './cloudflare.ts'
import { GRANT_SCOPES, type Grant, usesLeft } from './grant.ts'

export const GRANTS: ItemKind<Grant, Seen<Grant>, Remote<Grants>> = {
  object: (c, name, locationHint) => stateObject<Grants>(c, 'Grants', name, locationHint),
  noun: 'grant',
  scopes: GRANT_SCOPES,
  // Its creator may still move the deadline.
  keptSeconds: 7 * 86_400,
  about: ({ id, label }) => ({ grant: { id, label } }),
  ended: (cause) =>
    new ApiError(
      'grant_ended',
      'It was used up, has expired or was withdrawn. Ask the sender for another one.',
      { cause },
    ),
}

/** Returns a grant as its owner sees it. `base` is the URL before the path of its page. */
export function showGrant(grant: Seen<Grant>, base: string) {
  const { id, secret, bucket, key, name, size, label, uses, deadline, wrongPasswords } = grant
  const { direct, download, restrictions, createdAt, lastUsedAt } = grant
  return {
    ...{ id, url: `${base}/g/${secret}`, bucket, key, name, size, label, uses },
    usesLeft: usesLeft(grant),
    deadline: new Date(deadline).toISOString(),
    hasPassword: grant.password !== null,
    wrongPasswords,
    ...{ direct, download, restrictions },
    createdAt: new Date(createdAt).toISOString(),
    lastUsedAt: lastUsedAt === null ? null : new Date(lastUsedAt).toISOString(),
  }
}
