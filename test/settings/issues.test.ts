import { describe, expect, it } from 'vitest'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { CANARY, fullVariables } from './variables.ts'

/** Returns the path of every string in the configuration. */
function texts(value: unknown, path: string[] = []): string[][] {
  if (typeof value === 'string') return [path]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) => texts(member, [...path, name]))
}

function replaced(value: unknown, [name, ...rest]: string[], text: string): unknown {
  if (name === undefined) return text
  if (Array.isArray(value))
    return value.map((member, i) => (String(i) === name ? replaced(member, rest, text) : member))
  const table = Object(value)
  return { ...table, [name]: replaced(table[name], rest, text) }
}

describe('an issue', () => {
  it.each(texts(fullVariables()))('names the path and never the value: %s %s %s %s', (...path) => {
    const broken = replaced(fullVariables(), path, 'Canary \u0000 "{canary"')
    const loaded = loadEnvironment(Object(broken))
    if (loaded.ok) {
      // Free text: only a store or a token issuer can decide what it accepts.
      expect(path.join('.')).toMatch(
        /(_ACCESS_KEY_ID|_SECRET_ACCESS_KEY|_SESSION_TOKEN|JWT\.issuer|JWT\.audience\.0)$/,
      )
      return
    }
    expect(loaded.issues.map((issue) => issue.path)).toContain(path.join('.'))
    expect(JSON.stringify(loaded.issues).toLowerCase()).not.toContain(CANARY)
  })
})
