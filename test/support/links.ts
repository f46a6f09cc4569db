import { inject } from 'vitest'
import type { ConfiguredBucket } from '../../src/bucket/bucket.ts'
import { newObjectKey } from '../../src/keys/new-key.ts'
import type { ObjectKey } from '../../src/keys/object-key.ts'
import { objectRequest } from '../../src/plugins/links/objects-protocol.ts'
import type { ObjectRequest } from '../../src/storage/object-source.ts'
import { bucketFetch } from './bucket.ts'
import { type TestWorker, testWorker } from './worker.ts'

const worker: TestWorker = testWorker()
let serial = 0

/** Returns a request to `Objects` for a whole object, changed by `changes`. */
export const askObjects = (
  bucket: ConfiguredBucket,
  key: ObjectKey,
  changes: Partial<ObjectRequest> = {},
): Promise<Request> => {
  const asker = { now: new Date(), requestId: 'request-1' }
  const whole = { method: 'GET', range: null, variant: null, asker } as const
  return objectRequest({ bucket, key, ...whole, ...changes })
}

/** Returns the start of keys that no other test uses. */
function newPrefix(): string {
  serial += 1
  return `links/${serial}-${crypto.randomUUID()}/`
}

/**
 * Puts an object directly into the bucket of s3rver, under a key in the form of the presigner's own.
 * Returns the key, which no other test uses.
 */
export function putObject(name: string, body: BodyInit, type = 'image/png'): Promise<string> {
  const key = newObjectKey({ fileName: 'x', prefix: newPrefix(), now: new Date() })
  return putUnder(key.replace(/x$/, name), body, type)
}

/** Puts an object into the bucket of s3rver, under a new key of the form that a caller may choose. */
export const putChosen = (name: string, body: BodyInit, type = 'image/png'): Promise<string> =>
  putUnder(newPrefix() + name, body, type)

/** Puts an object directly into the bucket of s3rver, and returns its key. */
export async function putUnder(key: string, body: BodyInit, type = 'image/png'): Promise<string> {
  const path = key.split('/').map(encodeURIComponent).join('/')
  const headers = { 'Content-Type': type }
  await bucketFetch(path, { method: 'PUT', body, headers })
  return key
}

/** A link and its expiry. */
export interface Link {
  readonly link: string
  readonly expiresAt: string
}

/** Requests a link to `key` in the bucket with the alias `bucket`, "counted" by default. */
export async function linkTo(key: string, body: object = {}, bucket = 'counted'): Promise<Link> {
  const path = `/files/${encodeURIComponent(key)}/link?bucket=${bucket}`
  const response = await worker.post(path, body)
  if (response.status !== 200) throw new Error(`No link: ${await response.text()}`)
  return response.json()
}

/** Follows a link. */
export const open = (link: string, headers: HeadersInit = {}, method = 'GET'): Promise<Response> =>
  worker.fetch(link, { method, headers })

/** Returns the body of a response as text, whatever its type. */
export const textOf = async (response: Response): Promise<string> =>
  new TextDecoder().decode(await response.arrayBuffer())

/** Returns how many requests for `key` have reached the bucket behind that server. */
export async function requestsFor(
  key: string,
  server: 'counting' | 'faulty' = 'counting',
): Promise<number> {
  const path = encodeURIComponent(`/files/${key.split('/').map(encodeURIComponent).join('/')}`)
  const counter = `http://127.0.0.1:${inject('testPorts')[server]}/.count?path=${path}`
  return Number(await (await fetch(counter)).text())
}
