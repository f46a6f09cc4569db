import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestHarness } from 'wrangler'
import type { ServerContext } from './context.ts'

const SDK = join(import.meta.dirname, '../../../client/src/server.ts')

/** A Worker that uploads 12 MiB as a stream, or a path. */
const CODE = `
import { createServerClient } from ${JSON.stringify(SDK)}

const stream = () => {
  let sent = 0
  return new ReadableStream({
    pull(controller) {
      if (sent++ < 12) controller.enqueue(new Uint8Array(1024 ** 2).fill(sent))
      else controller.close()
    },
  })
}
export default {
  async fetch(request, env) {
    const client = createServerClient({ baseUrl: env.BASE_URL, apiKey: env.API_KEY })
    const source = new URL(request.url).pathname === '/path' ? '/etc/hostname' : stream()
    try {
      return Response.json(await client.upload(source, { fileName: 'a.bin' }))
    } catch ({ code, message }) {
      return Response.json({ code, message }, { status: 500 })
    }
  },
}
`

/** A Worker with the server client, without Node's modules. */
export interface SdkWorker extends AsyncDisposable {
  /** Resolves with its JSON. */
  ask(path: string): Promise<unknown>
}

/** Bundles and starts the Worker as a deployment does. */
export async function startSdkWorker({ baseUrl, apiKey }: ServerContext): Promise<SdkWorker> {
  await using stack = new AsyncDisposableStack()
  const root = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(root, { recursive: true }))
  await writeFile(join(root, 'index.ts'), CODE)
  const config = 'name = "sdk"\nmain = "index.ts"\ncompatibility_date = "2026-01-01"\n'
  await writeFile(join(root, 'wrangler.toml'), config)
  const workers = [
    { configPath: 'wrangler.toml', vars: { BASE_URL: baseUrl }, secrets: { API_KEY: apiKey } },
  ]
  const harness = createTestHarness({ root, workers })
  stack.defer(() => harness.close())
  const { url } = await harness.listen()
  const all = stack.move()
  return {
    ask: async (path) => (await fetch(new URL(path, url))).json(),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}
