import { createHash } from 'node:crypto'

/** A file as the index and the bucket must have it. */
export interface Expected {
  readonly name: string
  readonly size: number
  readonly owner: string
  /** In its quotes. */
  readonly etag: string
}

/** What the clients did, and what must exist afterwards. */
export interface Ledger {
  readonly files: Map<string, Expected>
  readonly deleted: Set<string>
  /** Events that must arrive: the type and the key. */
  readonly events: Set<string>
  uploads: number
  replaced: number
  renamed: number
  repeated: number
  /** Requests that a client sent again after a failure. */
  retries: number
}

export const emptyLedger = (): Ledger => ({
  files: new Map(),
  deleted: new Set(),
  events: new Set(),
  uploads: 0,
  replaced: 0,
  renamed: 0,
  repeated: 0,
  retries: 0,
})

interface Signed {
  readonly key: string
  readonly uploadUrl: string
  readonly headers: Record<string, string>
}

const MAX_TRIES = 60
const MAX_BATCH = 10

/**
 * Uploads `count` files to the Worker at `origin`, in a random order of operations. Repeats every
 * failed request until it succeeds, as a client with a bad connection does.
 */
export async function runClient(
  origin: string,
  { id, token }: { readonly id: string; readonly token: string },
  count: number,
  random: () => number,
  ledger: Ledger,
): Promise<void> {
  const owner = `key:${id}`
  const own: (Signed & { readonly number: number })[] = []
  let version = 0

  async function again(send: () => Promise<Response>, statuses: number[]): Promise<Response> {
    let last: unknown
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      try {
        const response = await send()
        if (statuses.includes(response.status)) return response
        last = `${response.status} ${await response.text()}`
        if (response.status < 500 && response.status !== 429) break
        if (response.status === 429) await pause(1000)
      } catch (error) {
        last = error
      }
      ledger.retries++
      await pause(Math.min(20 * attempt, 500))
    }
    throw new Error(`A request failed for good: ${String(last)}`)
  }

  const api = (method: string, path: string, body?: object) =>
    fetch(origin + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })

  async function sign(names: readonly string[]): Promise<Signed[]> {
    const files = names.map((fileName) => ({ fileName, mimetype: 'text/plain' }))
    const [only] = files
    if (files.length === 1 && only !== undefined) {
      const response = await again(() => api('POST', '/files/upload-url', only), [200])
      return [(await response.json()) as Signed]
    }
    const response = await again(() => api('POST', '/files/upload-urls', { files }), [200])
    return ((await response.json()) as { uploads: Signed[] }).uploads
  }

  /** PUTs new content, and records it, sometimes twice at the same time. */
  async function put(file: Signed, name: string): Promise<void> {
    const { key, uploadUrl, headers } = file
    const body = `${key} version ${version++}`
    await again(() => fetch(uploadUrl, { method: 'PUT', headers, body }), [200])
    const record = () => again(() => api('POST', '/files', { key, name }), [201])
    if (random() < 0.1) {
      ledger.repeated++
      await Promise.all([record(), record()])
    } else await record()
    const etag = `"${createHash('md5').update(body).digest('hex')}"`
    ledger.files.set(key, { name, size: Buffer.byteLength(body), owner, etag })
  }

  async function change(file: Signed & { readonly number: number }): Promise<void> {
    const { key } = file
    const known = ledger.files.get(key)
    if (known === undefined) return
    const roll = random()
    if (roll < 0.4) {
      const name = `renamed ${file.number}`
      await again(() => api('PATCH', `/files/${encodeURIComponent(key)}`, { name }), [200])
      ledger.files.set(key, { ...known, name })
      ledger.renamed++
    } else if (roll < 0.7) {
      // A repeat keeps the name.
      await again(() => api('POST', '/files', { key, name: 'another name' }), [201])
      ledger.repeated++
    } else {
      await put(file, `replaced ${file.number}`)
      ledger.events.add(`file.replaced ${key}`)
      ledger.replaced++
    }
  }

  async function remove(keys: readonly string[]): Promise<void> {
    const [only] = keys
    if (keys.length === 1 && only !== undefined)
      await again(() => api('DELETE', `/files/${encodeURIComponent(only)}`), [204])
    else {
      let rest = keys
      for (let attempt = 0; rest.length > 0; attempt++) {
        if (attempt > MAX_TRIES) throw new Error('Some keys can not be deleted.')
        const body = { keys: rest }
        const response = await again(() => api('POST', '/files/delete', body), [200])
        const { deleted } = (await response.json()) as {
          deleted: { key: string; error?: object }[]
        }
        rest = deleted.filter(({ error }) => error !== undefined).map(({ key }) => key)
        if (rest.length > 0) ledger.retries++
      }
    }
    for (const key of keys) {
      ledger.files.delete(key)
      ledger.deleted.add(key)
      ledger.events.add(`file.deleted ${key}`)
    }
  }

  for (let done = 0; done < count; ) {
    const size = Math.min(1 + Math.floor(random() * MAX_BATCH), count - done)
    const names = Array.from({ length: size }, (_, i) => `${id}-${done + i}.txt`)
    for (const [i, signed] of (await sign(names)).entries()) {
      await put(signed, names[i] ?? '')
      ledger.events.add(`file.recorded ${signed.key}`)
      ledger.uploads++
      own.push({ ...signed, number: done + i })
    }
    done += size
    const recent = own.slice(-20)
    for (const file of recent) if (random() < 0.1) await change(file)
    if (random() < 0.5) {
      const keys = recent.map(({ key }) => key).filter((key) => ledger.files.has(key))
      const chosen = keys.filter(() => random() < 0.2)
      if (chosen.length > 0) await remove(chosen)
    }
  }
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))
