/* The settings of the Worker with all plugins: for doctor, `dev` and tests. */
import type { Issue } from '../errors/api-error.ts'
import { keepFor, type LoadedSettings } from '../settings/define.ts'
import * as rules from './plugin-rules.ts'
import { loadVariables, TOML, variableRules, type WorkerSettings } from './variables.ts'

// biome-ignore lint/performance/noBarrelFile: one import for what reads the variables
export { accessKeys, type WorkerSettings } from './variables.ts'

/** Returns the settings in `env`, or the issues. Issues name paths, never values. */
export function loadEnvironment(env: object): LoadedSettings<WorkerSettings> {
  const loaded = loadVariables(env, rules)
  if (!loaded.ok) return loaded
  // The plugins check the buckets of credentials, once everything else is valid.
  const { apiKeys = [], jwt, upkeep } = loaded.settings
  const issues: Issue[] = []
  const place = { issues, words: TOML, uses: [] }
  rules.apiKeys(loaded.settings)(apiKeys, { ...place, path: 'API_KEYS' })
  if (jwt) rules.jwt(loaded.settings)(jwt, { ...place, path: 'JWT' })
  if (upkeep) rules.upkeep(loaded.settings)(upkeep, { ...place, path: 'UPKEEP' })
  return issues.length === 0 ? loaded : { ok: false, issues }
}

/** Returns the rules of every variable, secret and binding, except the buckets' access keys. */
export const environmentRules = (variables: Readonly<Record<string, unknown>>) =>
  variableRules(variables, rules)

/** Returns the settings of variables, secrets and bindings (docs/configuration.md). */
export const environmentSettings = keepFor(loadEnvironment)
