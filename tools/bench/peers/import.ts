import worker from '../../../examples/everything/src/worker.ts'

/** Counts the calls of the index, which it answers at `/bench/calls`. */
const calls: Record<string, number> = {}

const count = (name: string, by = 1): void => {
  calls[name] = (calls[name] ?? 0) + by
}

/** Returns a binding whose calls are counted. A proxy, since its methods need their own `this`. */
function counted<Binding extends object>(binding: Binding): Binding {
  return new Proxy(binding, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        const result: unknown = member.apply(target, args)
        if (name === 'prepare') return result
        count(String(name))
        if (name === 'batch' && result instanceof Promise) void result.then(countRows, () => {})
        return result
      }
    },
  })
}

function countRows(results: readonly D1Result[]): void {
  for (const { meta } of results) {
    count('rows read', meta.rows_read)
    count('rows written', meta.rows_written)
  }
}

const bindings = new WeakMap<object, object>()

function countedOnce<Binding extends object>(binding: Binding | undefined): Binding | undefined {
  if (binding === undefined) return undefined
  const known = bindings.get(binding) ?? counted(binding)
  bindings.set(binding, known)
  return known as Binding
}

/** The Worker, with an index that counts its calls. */
export default {
  fetch(request, env: Env & { readonly FILES_DB?: D1Database }, context) {
    if (new URL(request.url).pathname === '/bench/calls') return Response.json(calls)
    const index = {
      FILE_INDEX: countedOnce(env.FILE_INDEX),
      FILES_DB: countedOnce(env.FILES_DB),
    }
    return worker.fetch(request, { ...env, ...index } as Env, context)
  },
} satisfies ExportedHandler<Env & { readonly FILES_DB?: D1Database }>

// biome-ignore lint/performance/noBarrelFile: the classes of the Worker's Durable Objects
export { DropBoxes, Grants, Objects, Upkeep } from '../../../examples/everything/src/worker.ts'
