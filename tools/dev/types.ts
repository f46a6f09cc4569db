/**
 * `npm run types` compares the bindings in bindings.d.ts, for which the code was compiled, with those
 * of wrangler.toml. Your values, variables and environments don't matter.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')
const WRANGLER = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')

/** Returns the types in bindings.d.ts, and those that wrangler makes from wrangler.toml, by name. */
async function readTypes(): Promise<[ReadonlyMap<string, string>, ReadonlyMap<string, string>]> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  try {
    const made = join(directory, 'bindings.d.ts')
    const options = ['--include-runtime=false', '--strict-vars=false']
    const args = [WRANGLER, 'types', made, ...options, '--env-file', '.dev.vars.example']
    await promisify(execFile)(process.execPath, args, { cwd: ROOT })
    const texts = [join(ROOT, 'bindings.d.ts'), made].map((file) => readFile(file, 'utf8'))
    const [committed = '', current = ''] = await Promise.all(texts)
    return [bindingsIn(committed), bindingsIn(current)]
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Returns the bindings by name. Their types are names of interfaces, unlike those of variables. */
const bindingsIn = (types: string): ReadonlyMap<string, string> =>
  new Map(
    [...types.matchAll(/^\t+(\w+)\??: ([A-Z].*);$/gm)].map(([, name = '', type = '']) => [
      name,
      type,
    ]),
  )

/** The bindings that the Worker can do without, or finds without a type. */
const OPTIONAL = ['ASSETS', 'EVENTS', 'FILES_DB', 'IMAGES', 'RATE_LIMITER']

/** Returns what differs, a sentence for each binding. */
function differences(
  committed: ReadonlyMap<string, string>,
  current: ReadonlyMap<string, string>,
): readonly string[] {
  // FILES_DB replaces FILE_INDEX.
  const isOptional = (name: string) =>
    OPTIONAL.includes(name) || (name === 'FILE_INDEX' && current.has('FILES_DB'))
  return [...new Set([...committed.keys(), ...current.keys()])].flatMap((name) => {
    const [before, now] = [committed.get(name), current.get(name)]
    const isMissing = before === undefined || now === undefined
    if (before === now || (isMissing && isOptional(name))) return []
    if (now === undefined) return `wrangler.toml has no binding ${name}. The Worker needs it.`
    return `bindings.d.ts has ${before ?? 'nothing'} for ${name}, and wrangler.toml ${now}. Run: npm run typegen`
  })
}

try {
  const messages = differences(...(await readTypes()))
  for (const message of messages) console.error(message)
  if (messages.length > 0) process.exitCode = 1
} catch (error) {
  // wrangler has written what is wrong with wrangler.toml.
  console.error(Reflect.get(Object(error), 'stderr') ?? error)
  process.exitCode = 1
}
