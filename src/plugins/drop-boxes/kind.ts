import { ApiError } from '../../errors/api-error.ts'
import type { ItemKind } from '../../state/item.ts'
import type { Ledger } from '../../state/ledger.ts'
import { type Remote, stateObject } from '../../state/object.ts'
import { BOX_SCOPES, type SeenBox, type StoredBox } from './box.ts'

export type BoxObject = Remote<Ledger<StoredBox>>

export const DROP_BOXES: ItemKind<StoredBox, SeenBox, BoxObject> = {
  object: (c, name, locationHint) =>
    stateObject<Ledger<StoredBox>>(c, 'DropBoxes', name, locationHint),
  noun: 'drop box',
  scopes: BOX_SCOPES,
  // So that its creator can see what arrived.
  keptSeconds: 30 * 86_400,
  about: ({ id, title }) => ({ dropBox: { id, label: title } }),
  // Nobody learns why it is.
  ended: (cause) =>
    new ApiError(
      'drop_box_closed',
      'This drop box is closed. Ask who sent you here for a new one.',
      { cause },
    ),
}

/** Returns a drop box as its owner sees it. `base` is the URL before the path of its page. */
export function showBox(box: Omit<SeenBox, 'left'>, base: string) {
  const { id, secret, bucket, key, from, title, message, deadline, createdAt } = box
  const { maxFiles, maxBytes, maxTotalBytes, allowedTypes, wrongPasswords, received } = box
  return {
    ...{ id, url: `${base}/d/${secret}`, bucket, prefix: key, from, title, message },
    deadline: new Date(deadline).toISOString(),
    ...{ maxFiles, maxBytes, maxTotalBytes, allowedTypes, hasPassword: box.password !== null },
    wrongPasswords,
    createdAt: new Date(createdAt).toISOString(),
    received,
  }
}
