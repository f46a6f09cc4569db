import { describe } from '../../errors/describe.ts'
import { logWarning } from '../../errors/warnings.ts'
import { Ledger } from '../../state/ledger.ts'
import { type ObjectOwner, objectContext } from '../../state/object.ts'
import type { StoredBox } from './box.ts'
import { recheck } from './recheck.ts'

/**
 * Returns the class that remembers drop boxes. Export a class that extends it from your Worker. Pass
 * every presigner with drop boxes. Each needs its own `name` in its settings.
 */
export const dropBoxesObject = <E extends object>(
  presigner: ObjectOwner<E>,
  ...others: readonly ObjectOwner<E>[]
): (new (
  ctx: DurableObjectState,
  env: E,
) => Ledger<StoredBox, E>) =>
  class DropBoxes extends Ledger<StoredBox, E> {
    protected override withoutText(box: StoredBox): StoredBox {
      return { ...box, from: '', title: '', message: null }
    }

    protected override async ring(time: number): Promise<void> {
      const now = new Date(time)
      const box = this.item()
      if (box === null) return
      try {
        const instances = [presigner, ...others].map(({ instance }) => instance(this.env))
        const own = instances.find(
          ({ settings }) =>
            settings.ok && settings.settings.signingSecrets[0].name === box.instance,
        )
        // `recheck` refuses another one, and tries again later.
        const instance = own ?? presigner.instance(this.env)
        await recheck(this, box, instance, objectContext(this.ctx), now)
      } catch (error) {
        logWarning('files not recorded', { reason: describe(error) })
      }
      if (this.isOver(Date.now())) await this.ctx.storage.deleteAll()
      else await this.wake(true)
    }
  }
