/*
 * The rules of variables that only one plugin reads, by the names of the plugins. A bundle has those of the
 * plugins that it lists.
 */
import { apiKeysRule } from '../plugins/api-keys/options.ts'
import { webhooksRule } from '../plugins/events/options.ts'
import { jwtRule } from '../plugins/jwt/options.ts'
import { imageSizesRule } from '../plugins/links/images/options.ts'
import { notificationSecretsRule } from '../plugins/notifications/notification-secret.ts'
import { upkeepRule } from '../plugins/upkeep/options.ts'
import { binding } from './variables.ts'

export const apiKeys = apiKeysRule
export const events = () => webhooksRule
export const files = () =>
  binding('a KV namespace, or FILES_DB to a D1 database', '[[kv_namespaces]]')
export const images = () => imageSizesRule
export const jwt = jwtRule
export const notifications = () => notificationSecretsRule
export const upkeep = upkeepRule
