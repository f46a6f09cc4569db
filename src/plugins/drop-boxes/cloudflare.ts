import { describe } from '../../errors/describe.ts'
import { logWarning } from '../../errors/warnings.ts'
import type { Instance } from '../../http/app-env.ts'
import { StateObject } from '../../state/cloudflare.ts'
import type {
  Arrived,
  Ask,
  BoxObject,
  BoxState,
  Entered,
  Entry,
  ReceivedPage,
  Reserved,
  Settled,
  StoredBox,
} from './box.ts'
import { Ledger } from './ledger.ts'
import { type Context, look } from './looks.ts'

/** What the class needs of a presigner: its buckets, its index and its events. */
interface Owner<E> {
  readonly instance: (env: E) => Instance
}

/** The class that a Worker exports as `DropBoxes`. */
export interface DropBoxesObject<E> extends StateObject<E>, BoxObject {}

/**
 * Returns the class that remembers drop boxes. Export a class that extends it from your Worker. Pass
 * every presigner with drop boxes. Each needs its own `name` in its settings.
 */
export const dropBoxesObject = <E extends object>(
  presigner: Owner<E>,
  ...others: readonly Owner<E>[]
): (new (
  ...given: ConstructorParameters<typeof StateObject<E>>
) => DropBoxesObject<E>) =>
  class DropBoxes extends StateObject<E> implements BoxObject {
    async create(box: StoredBox): Promise<void> {
      ledgerOf(this.ctx).create(box)
      await wake(this.ctx)
    }

    async state(): Promise<BoxState | null> {
      return ledgerOf(this.ctx).state()
    }

    async enter(entry: Entry, now: number): Promise<Entered> {
      return ledgerOf(this.ctx).enter(entry, now)
    }

    async reserve(ask: Ask, now: number): Promise<Reserved> {
      return awake(this.ctx, (ledger) => ledger.reserve(ask, now))
    }

    async undo(key: string, undo: string): Promise<void> {
      ledgerOf(this.ctx).undo(key, undo)
    }

    async abort(key: string, now: number): Promise<void> {
      await awake(this.ctx, (ledger) => ledger.abort(key, now))
    }

    async settle(file: Arrived, now: number): Promise<Settled> {
      return awake(this.ctx, (ledger) => ledger.settle(file, now))
    }

    async told(key: string, etag: string): Promise<void> {
      ledgerOf(this.ctx).told(key, etag)
    }

    async lost(key: string, etag: string): Promise<void> {
      ledgerOf(this.ctx).lost(key, etag, true)
    }

    async files(limit: number, start: number | null): Promise<ReceivedPage> {
      return ledgerOf(this.ctx).files(limit, start)
    }

    async close(now: number): Promise<void> {
      await awake(this.ctx, (ledger) => ledger.close(now))
    }

    override async alarm(): Promise<void> {
      const now = new Date()
      if (this.isList()) return this.endListed(now.getTime())
      const ledger = ledgerOf(this.ctx)
      const box = ledger.box()
      if (box === null) return
      try {
        const instances = [presigner, ...others].map(({ instance }) => instance(this.env))
        const own = instances.find(
          ({ settings }) =>
            settings.ok && settings.settings.signingSecrets[0].name === box.instance,
        )
        // `look` refuses another one, and tries again later.
        const instance = own ?? presigner.instance(this.env)
        await look(ledger, box, instance, contextOf(this.ctx), now)
      } catch (error) {
        logWarning('files not recorded', { reason: describe(error) })
      }
      const next = ledger.nextAt()
      if (next === null || !ledger.isOver(Date.now())) await wake(this.ctx, true)
      else await this.ctx.storage.deleteAll()
    }
  }

const ledgerOf = ({ storage }: DurableObjectState): Ledger => new Ledger(storage)

/** Changes the ledger, and sets the alarm for what is due next. */
async function awake<T>(ctx: DurableObjectState, change: (ledger: Ledger) => T): Promise<T> {
  const result = change(ledgerOf(ctx))
  await wake(ctx)
  return result
}

/** Sets the alarm, unless it rings earlier anyway. */
async function wake(ctx: DurableObjectState, isRinging = false): Promise<void> {
  const next = ledgerOf(ctx).nextAt()
  if (next === null) return
  const set = isRinging ? null : await ctx.storage.getAlarm()
  if (set === null || next < set) await ctx.storage.setAlarm(next)
}

/** Returns an execution context. Nothing can pass through, since an object has no request. */
const contextOf = (ctx: DurableObjectState): Context => ({
  waitUntil: (promise: Promise<unknown>) => ctx.waitUntil(promise),
  passThroughOnException: () => undefined,
  props: {},
  ...{ exports: Reflect.get(ctx, 'exports') },
})
