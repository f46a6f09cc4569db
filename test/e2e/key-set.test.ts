import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { jwtVariable, type TestIssuer, testIssuer } from '../support/issuer.ts'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'

/**
 * How long the key set takes, so that the other requests arrive meanwhile. Nothing shows from outside
 * when they have. On a busy machine some may come later, and then find the key.
 */
const ANSWER_MILLISECONDS = 1000

let issuer: TestIssuer
let keySet: Server
let fetches: number
let worker: BuiltWorker

/** A Worker that has just started, without cached keys, and a slow key set. */
beforeEach(async () => {
  issuer = await testIssuer()
  fetches = 0
  keySet = createServer(async (_, response) => {
    fetches += 1
    await wait(ANSWER_MILLISECONDS)
    response.end(JSON.stringify({ keys: [issuer.publicJwk] }))
  }).listen(0, '127.0.0.1')
  await once(keySet, 'listening')
  const { port } = keySet.address() as AddressInfo
  const { publicJwk: _, ...jwt } = jwtVariable(issuer)
  worker = await startBuiltWorker({
    buckets: {
      files: {
        endpoint: 'http://127.0.0.1:1',
        region: 'us-east-1',
        bucket: 'files',
        addressing: 'path',
        credentials: 'S3',
      },
    },
    accessKeys: { S3: { accessKeyId: 'a', secretAccessKey: 'b' } },
    variables: { JWT: JSON.stringify({ ...jwt, jwksUrl: `http://127.0.0.1:${port}/` }) },
  })
})

afterEach(async () => {
  await worker.close()
  keySet.close()
  keySet.closeAllConnections()
})

async function list(token: string): Promise<number> {
  const headers = { Authorization: `Bearer ${token}` }
  const response = await fetch(`${worker.origin}/files`, { headers })
  await response.body?.cancel()
  return response.status
}

it('fetches a key set once for 40 real requests at once', async () => {
  const token = await issuer.sign()
  const statuses = await Promise.all(Array.from({ length: 40 }, () => list(token)))
  expect(statuses).toEqual(Array(40).fill(200))
  expect(fetches).toBe(1)
})
