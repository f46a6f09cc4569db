import { REFUSALS as OF_CORE } from '../../src/access/verdict.ts'
import { REFUSALS as OF_API_KEYS } from '../../src/plugins/api-keys/api-key.ts'
import { REFUSALS as OF_JWTS } from '../../src/plugins/jwt/jwt.ts'
import { SECRET_WRONG } from '../../src/plugins/notifications/notification-secret.ts'

/** Why credentials are refused. */
export const REFUSALS = [...OF_CORE, ...OF_API_KEYS, ...OF_JWTS, SECRET_WRONG] as const

export type Refusal = (typeof REFUSALS)[number]
