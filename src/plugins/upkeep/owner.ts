import { isPrincipalId } from '../../access/principal.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { Import } from './state.ts'

/** Where a template has the owner. */
const OWNER = '{owner}'

/**
 * Returns a function that finds the owner of a key: the segment at `{owner}` of a template such as
 * `users/{owner}/`, which matches from the key's start, put into `ownerAs`, such as `key:app/{owner}`.
 * Null for a key that doesn't match, and for what may not be the id of an owner.
 */
export function ownerFinder(
  template: Pick<Import, 'owner' | 'ownerAs'> | null,
): (key: ObjectKey) => string | null {
  const { owner, ownerAs } = template ?? { owner: null, ownerAs: '' }
  if (owner === null) return () => null
  const [before = '', after = ''] = owner.split(OWNER)
  return (key) => {
    if (!key.startsWith(before)) return null
    const rest = key.slice(before.length)
    const [segment = ''] = rest.split('/')
    if (!rest.slice(segment.length).startsWith(after)) return null
    const id = ownerAs.replaceAll(OWNER, () => segment)
    return segment !== '' && isPrincipalId(id) ? id : null
  }
}
