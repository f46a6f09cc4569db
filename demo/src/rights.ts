import type { Client } from '../../client/src/index.ts'

/** Hides what the token may not do. */
export interface Rights {
  /** Asks the Worker again, after the token has changed. */
  reload(): Promise<void>
}

/**
 * Connects the buttons that name a scope in `data-needs`. If the Worker doesn't tell the scopes, all
 * buttons are shown, and the Worker refuses what the token may not do.
 */
export function createRights(client: Client): Rights {
  const elements = [...document.querySelectorAll<HTMLElement>('[data-needs]')]
  return {
    async reload() {
      const scopes = await client.request('GET', '/limits').then(scopesOf, () => undefined)
      for (const element of elements)
        element.hidden = scopes !== undefined && !scopes.includes(element.dataset.needs)
    },
  }
}

function scopesOf(limits: unknown): readonly unknown[] | undefined {
  const scopes: unknown = Object(limits).scopes
  return Array.isArray(scopes) ? scopes : undefined
}
