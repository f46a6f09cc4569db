import * as z from 'zod/mini'

/** Refuses what `fault` finds wrong, in the words that it returns. */
export const sound = <T>(fault: (value: T) => string | null) =>
  z.check<T>((payload) => {
    const message = fault(payload.value)
    if (message !== null) payload.issues.push({ code: 'custom', input: payload.value, message })
  })

/** A variable that wrangler.toml gives as a table and an environment file as JSON text. */
export const tableOrJson = <T extends z.ZodMiniType>(table: T) =>
  z.pipe(
    z.transform((value, context) => {
      if (typeof value !== 'string') return value
      try {
        return JSON.parse(value) as unknown
      } catch {
        context.issues.push({ code: 'custom', input: value, message: 'must be a table or JSON' })
        return z.NEVER
      }
    }),
    table,
  )
