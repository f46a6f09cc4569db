/* The settings of the Worker with all plugins, without their code: for doctor, `dev` and tests. */
import { apiKeysRule } from '../plugins/api-keys/options.ts'
import { webhooksRule } from '../plugins/events/options.ts'
import { jwtRule } from '../plugins/jwt/options.ts'
import { imageSizesRule } from '../plugins/links/images/options.ts'
import { notificationSecretsRule } from '../plugins/notifications/notification-secret.ts'
import { upkeepRule } from '../plugins/upkeep/options.ts'
import type { LoadedSettings } from '../settings/define.ts'
import type { Rule } from '../settings/rules.ts'
import type { Settings } from '../settings/settings.ts'
import {
  hasIndex,
  loadVariables,
  NO_INDEX,
  readVariable,
  type WorkerSettings,
} from './variables.ts'

/** The rules of the variables that plugins read. `settings` is null if they are invalid. */
export const PLUGIN_RULES: Readonly<Record<string, (settings: Settings | null) => Rule<unknown>>> =
  {
    API_KEYS: apiKeysRule,
    JWT: jwtRule,
    IMAGE_WIDTHS: () => imageSizesRule,
    NOTIFICATION_SECRETS: () => notificationSecretsRule,
    WEBHOOKS: () => webhooksRule,
    UPKEEP: upkeepRule,
  }

/** Returns the settings in `env`, or the issues of all variables. Issues name paths, never values. */
export function loadEnvironment(env: object): LoadedSettings<WorkerSettings> {
  const loaded = loadVariables(env)
  const { settings, issues } = loaded.ok ? { ...loaded, issues: [] } : { ...loaded, settings: null }
  const all = [
    ...issues,
    ...Object.entries(PLUGIN_RULES).flatMap(
      ([name, rule]) => readVariable(env, name, rule(settings)).issues,
    ),
    ...(hasIndex(env) ? [] : [{ path: 'FILE_INDEX', message: NO_INDEX }]),
  ]
  return all.length === 0 ? loaded : { ok: false, issues: all }
}
