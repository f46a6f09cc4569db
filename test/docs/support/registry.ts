import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename } from 'node:path'

/** A registry for npm that has this project's packages, as if they were published. */
export interface Registry extends AsyncDisposable {
  readonly url: string
}

/** A packed package: its package.json, and the path of its tarball. */
export interface Packed {
  readonly manifest: { readonly name: string; readonly version: string }
  readonly tarball: string
}

/** Starts a registry with `packages`. It sends npm to `upstream` for every other one. */
export async function startRegistry(
  packages: readonly Packed[],
  upstream: string,
): Promise<Registry> {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(request.url?.slice(1) ?? '')
    const packed = packages.find(({ tarball, manifest }) =>
      [manifest.name, basename(tarball)].includes(path),
    )
    if (packed === undefined) {
      const Location = new URL(request.url?.slice(1) ?? '', upstream).href
      response.writeHead(302, { Location }).end()
      return
    }
    const { manifest, tarball } = packed
    const bytes = await readFile(tarball)
    if (path !== manifest.name) {
      response.end(bytes)
      return
    }
    const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`
    const dist = { tarball: `${url}${basename(tarball)}`, integrity }
    response.setHeader('Content-Type', 'application/json').end(
      JSON.stringify({
        name: manifest.name,
        'dist-tags': { latest: manifest.version },
        versions: { [manifest.version]: { ...manifest, dist } },
      }),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return {
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await server[Symbol.asyncDispose]()
    },
  }
}
