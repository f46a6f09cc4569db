import type { Instance, Seams } from './app-env.ts'

/**
 * Returns what handles a batch of the queue called `name`. One whose name starts with that of a plugin's
 * queue and ends with `-dead` has its dead letters. Undefined if nobody handles it.
 */
export function handlerFor(
  { queue, deadLetters }: Pick<Instance, 'queue' | 'deadLetters'>,
  name: string,
): Seams['deadLetters'] | undefined {
  const found = queue.find((one) => name.startsWith(one.name))
  // Any queue may be that of a lost plugin, whose name is empty.
  const isDead = found?.name && name.slice(found.name.length).endsWith('-dead')
  return isDead ? deadLetters : found?.handle
}
