import { StateObject } from '../../state/cloudflare.ts'

/** Remembers grants. Export it from your Worker. */
export class Grants extends StateObject {}
