import { DurableObject } from 'cloudflare:workers'
import { describe } from '../../errors/describe.ts'
import { logWarning } from '../../errors/warnings.ts'
import type { Instance } from '../../http/app-env.ts'
import type { Sql, SqlRow } from '../../records/sql.ts'
import { requireSettings } from '../../settings/define.ts'
import { type ObjectOwner, objectContext } from '../../state/object.ts'
import { drive } from './driver.ts'
import { UPKEEP } from './options.ts'
import { NEXT_AT, TABLES, WalkStore } from './store.ts'

/** If a step breaks off, the next one begins after its lease. */
const BROKEN_MILLISECONDS = 150_000
/** After an error that is not about a walk, such as in the settings. */
const LATER_MILLISECONDS = 600_000

/** What an object is about: a bucket, and the name of its presigner. */
interface Subject {
  readonly identity: string
  readonly instance: string
}

/**
 * Remembers the walks through one bucket, and does their steps, woken by its alarm. Each method decides without waiting
 * for anything, so no other request comes between what it reads and what it writes.
 */
export abstract class UpkeepObject<Env = unknown> extends DurableObject<Env> {
  /** Runs statements in one transaction. */
  run(statements: readonly Sql[]): readonly (readonly SqlRow[])[] {
    const { storage } = this.ctx
    return storage.transactionSync(() =>
      statements.map(({ text, values }) => storage.sql.exec(text, ...values).toArray()),
    )
  }

  /** Lets the next step begin now, if one is due. Resolves with false: this does no step itself. */
  async wake(subject: Subject): Promise<boolean> {
    this.ctx.storage.kv.put('subject', subject)
    this.#sleep()
    return false
  }

  /** Does a step for one of these presigners, and sets the alarm for the next one. Never throws. */
  protected async step(instances: () => readonly Instance[]): Promise<void> {
    const { storage } = this.ctx
    try {
      // Workers drops an alarm that fails again and again. If this object ends, it goes on then.
      await storage.setAlarm(Date.now() + BROKEN_MILLISECONDS)
      const subject = storage.kv.get<Subject>('subject')
      const instance = instances().find(
        ({ settings }) =>
          settings.ok && settings.settings.signingSecrets[0].name === subject?.instance,
      )
      if (subject === undefined || instance === undefined)
        throw new Error('No presigner of upkeepObject() has the name of this object.')
      const settings = requireSettings(await instance.ready(instance.settings))
      const upkeep = UPKEEP.of(instance)
      if (upkeep === undefined) throw new Error('This presigner has no plugin upkeep().')
      const driver = { instance, settings, upkeep, context: objectContext(this.ctx) }
      await drive(driver, new WalkStore(async (sql) => this.run(sql)), subject.identity, new Date())
      this.#sleep()
    } catch (error) {
      logWarning('upkeep failed', { reason: describe(error) })
      this.#setAlarm(Date.now() + LATER_MILLISECONDS)
    }
  }

  /** Sets the alarm for the next step. Synchronous, so that no order comes between. */
  #sleep(): void {
    const at = this.run([...TABLES, NEXT_AT]).at(-1)?.[0]?.at
    this.#setAlarm(typeof at === 'number' ? Math.max(at, Date.now()) : null)
  }

  #setAlarm(at: number | null): void {
    const { storage } = this.ctx
    const done = at === null ? storage.deleteAlarm() : storage.setAlarm(at)
    done.catch((error: unknown) => logWarning('upkeep failed', { reason: describe(error) }))
  }
}

/**
 * Returns the class that remembers walks, and does their steps. Export a class that extends it from your
 * Worker. Pass every presigner with upkeep. Each needs its own `name` in its settings.
 */
export const upkeepObject = <E extends object>(
  presigner: ObjectOwner<E>,
  ...others: readonly ObjectOwner<E>[]
): (new (
  ctx: DurableObjectState,
  env: E,
) => UpkeepObject<E>) =>
  class Upkeep extends UpkeepObject<E> {
    override alarm(): Promise<void> {
      return this.step(() => [presigner, ...others].map(({ instance }) => instance(this.env)))
    }
  }
