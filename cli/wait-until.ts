import { setTimeout as delay } from 'node:timers/promises'

const PAUSE_MILLISECONDS = 100

/** Calls `condition` until it is true. Throws an Error that names `what` after `seconds`. */
export async function waitUntil(
  what: string,
  condition: () => Promise<boolean>,
  seconds: number,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} seconds.`)
    await delay(PAUSE_MILLISECONDS)
  }
}

/** Tells whether `url` responds, with `status` if it is given. */
export async function answers(url: string, status?: number): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) })
    await response.body?.cancel()
    return status === undefined || response.status === status
  } catch {
    return false
  }
}
