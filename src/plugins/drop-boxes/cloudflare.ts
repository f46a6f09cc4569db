import type { Instance } from '../../http/app-env.ts'
import { StateObject } from '../../state/cloudflare.ts'

/** What the class needs of a presigner: its buckets, its index and its events. */
interface Owner<E> {
  readonly instance: (env: E) => Instance
}

/** Returns the class that remembers drop boxes. Export a class that extends it from your Worker. */
export const dropBoxesObject = <E extends object>(presigner: Owner<E>) =>
  class DropBoxes extends StateObject<E> {
    get instance(): Instance {
      return presigner.instance(this.env)
    }
  }
