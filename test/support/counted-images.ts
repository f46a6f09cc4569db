import worker, { Objects as Base } from '../../src/worker.ts'

/** The Worker with a server instead of Cloudflare Images. Counts the bytes of originals in its isolate. */
interface Bindings {
  readonly RESIZER: string
}

/** Without a buffer, a read returns at most 4 KiB. */
const PIECE_BYTES = 64 * 1024

const counts = { held: 0, peak: 0 }

function hold(bytes: number): void {
  counts.held += bytes
  counts.peak = Math.max(counts.peak, counts.held)
}

/** Returns the same stream. Calls `pass` with each piece. */
function counted(
  body: ReadableStream<Uint8Array>,
  pass: (piece: Uint8Array) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader({ mode: 'byob' })
  const source: UnderlyingByteSource = {
    type: 'bytes',
    async pull(controller) {
      const { done, value } = await reader.read(new Uint8Array(PIECE_BYTES))
      if (done) {
        controller.close()
        controller.byobRequest?.respond(0)
        return
      }
      pass(value)
      controller.enqueue(value)
    },
    cancel: (reason) => reader.cancel(reason),
  }
  return new ReadableStream(source, { highWaterMark: 0 })
}

const sendToServer = fetch
/** The bytes that have come in each response of the bucket, by the id that it gives them. */
const originals = new Map<string, number>()

globalThis.fetch = async (...asked: Parameters<typeof fetch>) => {
  const response = await sendToServer(...asked)
  const { body, headers } = response
  const id = headers.get('X-Id') ?? ''
  if (body === null) return response
  const counting = counted(body, ({ byteLength }) => {
    hold(byteLength)
    originals.set(id, (originals.get(id) ?? 0) + byteLength)
  })
  return new Response(counting, response)
}

/** A GIF is in memory until the resizer has answered. Everything else only until it is on its way there. */
async function resize(address: string, image: ReadableStream<Uint8Array>) {
  let whole = 0
  let isGif = false
  const body = counted(image, (piece) => {
    if (whole === 0) isGif = piece[0] === 0x47
    whole += piece.byteLength
    if (!isGif) hold(-piece.byteLength)
  })
  const response = await sendToServer(address, { method: 'POST', body })
  if (isGif) hold(-whole)
  return { response: () => response }
}

const wrapped = new WeakMap<object, object>()

function withImages<E extends object>(env: E & Bindings): E {
  const IMAGES = {
    input: (image: ReadableStream<Uint8Array>) => ({
      transform: () => ({ output: () => resize(env.RESIZER, image) }),
    }),
  }
  const { RESIZER: _, ...own } = env
  if (!wrapped.has(env)) wrapped.set(env, { ...own, IMAGES })
  return wrapped.get(env) as E
}

type WorkerBindings = ConstructorParameters<typeof Base>[1]

export default {
  fetch(request: Request, env: WorkerBindings & Bindings, ctx: ExecutionContext) {
    const { pathname, search } = new URL(request.url)
    // Nothing runs in a request that has ended, so the bucket says that nobody reads a response any more.
    if (pathname === '/closed') hold(-(originals.get(search.slice(1)) ?? 0))
    if (pathname === '/closed' || pathname === '/counts') return Response.json(counts)
    return worker.fetch(request, withImages(env), ctx)
  },
}

export class Objects extends Base {
  constructor(ctx: ExecutionContext, env: WorkerBindings & Bindings) {
    super(ctx, withImages(env))
  }
}
