// biome-ignore-all lint/performance/noBarrelFile: the entry for pages that share, or upload to a drop box

export type { DropBoxSender, DropBoxTerms, DropBoxVisitor, OpenDropBox } from './drop-box.ts'
export { openDropBox } from './drop-box.ts'
export type {
  DropBoxOptions,
  GrantChanges,
  GrantOptions,
  PageOptions,
  SharingCalls,
  SharingClient,
} from './sharing-calls.ts'
export { withSharing } from './sharing-calls.ts'
export type {
  DropBox,
  DropBoxPage,
  Grant,
  GrantPage,
  ReceivedFile,
  ReceivedPage,
} from './sharing-responses.ts'
