import { exports } from 'cloudflare:workers'
import type { DropBoxes, Upkeep } from '../../examples/everything/src/worker.ts'
import type { Grants } from '../../src/plugins/grants/cloudflare.ts'

interface Classes {
  readonly Grants: Grants
  readonly DropBoxes: DropBoxes
  readonly Upkeep: Upkeep
}

/** Returns an object of the Worker. Its types don't know the classes that `exports` declares. */
export const stateStub = <Name extends keyof Classes>(
  className: Name,
  name: string,
): DurableObjectStub<Classes[Name]> =>
  (Reflect.get(exports, className) as unknown as DurableObjectNamespace<Classes[Name]>).getByName(
    name,
  )
