// biome-ignore-all lint/performance/noBarrelFile: the entry for pages that share, or upload to a drop box
import type { Client } from './client.ts'
import { type SharingCalls, sharingCalls } from './sharing-calls.ts'

export type * from './answers/sharing.ts'
export { type OpenDropBox, openDropBox } from './drop-box.ts'
export type {
  DropBoxOptions,
  DropBoxSender,
  DropBoxTerms,
  DropBoxVisitor,
  GrantChanges,
  GrantOptions,
  OwnedOptions,
  PageOptions,
  SharingCalls,
} from './sharing-calls.ts'

/** A client with methods for grants and drop boxes. */
export type SharingClient = Client & SharingCalls

/** Returns `client` with methods for grants and drop boxes. Call it once for each client. */
export const withSharing = (client: Client): SharingClient => ({
  ...client,
  ...sharingCalls(
    (check, method, path, request) => client.request(method, path, { ...request, check }),
    client.bucket,
  ),
})
