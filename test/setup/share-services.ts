import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LaunchOptions } from 'playwright-core'
import type { TestProject } from 'vitest/node'
import type { BucketOptions, S3Server } from '../../cli/s3-server.ts'
import { installOwnPackages } from '../../tools/dev/own-packages.ts'
import type { PackageName } from '../e2e/package/packed.ts'
import type {} from '../support/provided-context.ts'
import type { WorkerKind } from './build-worker.ts'
import { serveCalls } from './calls.ts'
import { CHROMIUM_OPTIONS, WHOLE_CHROMIUM_OPTIONS } from './chromium-options.ts'
import { RUN_VARIABLE, startWatchman } from './end-leftovers.ts'

/** An origin that no page has. Ceph RGW needs one for the bucket that it starts with. */
const NOBODY = 'http://nobody.test'

/** What test files share. Each starts when the first file asks for it, once in a run. */
export interface SharedServices {
  /** Starts Debian's Chromium. Returns the address to connect to. */
  chromium(): Promise<string>
  /** Starts Ceph RGW. Returns it with a bucket that no other file uses. */
  ceph(options: BucketOptions): Promise<Omit<S3Server, 'close'>>
  /** Installs the packages of a folder that has its own lock file, if some are missing. Returns their folder. */
  ownPackages(folder: string): Promise<string>
  /** Packs a package as `npm publish` does. Returns the path of the tarball. */
  tarball(name: PackageName): Promise<string>
  /** Installs another version of Node. Returns the folder with its program. */
  node(version: string): Promise<string>
  /** Bundles a page of client/test with the client as it is published. Returns the script. */
  clientPage(name: string): Promise<string>
  /**
   * Bundles the Worker with all plugins, or the default one. Returns the path of a configuration that runs
   * the bundle.
   */
  worker(kind?: WorkerKind): Promise<string>
  /** Starts a process that runs Workers. Returns its address. */
  workerHost(): Promise<string>
}

/**
 * Vitest's global setup of a whole run: a server that starts what test files share. Ends everything
 * afterwards, even if the run is killed.
 */
export default async function shareServices(project: TestProject): Promise<() => Promise<void>> {
  const stack = new AsyncDisposableStack()
  const runId = randomUUID()
  const watchman = startWatchman(runId)
  stack.defer(() => {
    watchman?.kill()
  })
  process.env[RUN_VARIABLE] = runId
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  // A process that is about to end may still write to it.
  stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 20 }))
  // Each process that loads wrangler or Vite compiles a third less.
  process.env.NODE_COMPILE_CACHE ??= join(directory, 'compiled')
  // The full tests show that all works in the whole browser, too.
  const isFull = project.vitest.projects.every(({ name }) => name === 'full')
  const chromiumOptions = isFull ? WHOLE_CHROMIUM_OPTIONS : CHROMIUM_OPTIONS
  const server = serveCalls(createServices({ directory, stack, chromiumOptions })).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  stack.defer(() => server[Symbol.asyncDispose]())
  stack.defer(() => server.closeAllConnections())
  const { port } = server.address() as AddressInfo
  project.provide('sharedServices', `http://127.0.0.1:${port}`)
  return () => stack.disposeAsync()
}

interface Run {
  readonly directory: string
  readonly stack: AsyncDisposableStack
  readonly chromiumOptions: LaunchOptions
}

/** Returns the services. What they start ends with `stack`. */
function createServices({ directory, stack, chromiumOptions }: Run): SharedServices {
  const folder = async (name: string) => {
    await mkdir(join(directory, name), { recursive: true })
    return join(directory, name)
  }
  const ceph = onFirstCall(async () => {
    const { createBuckets, startCeph } = await import('../../cli/ceph.ts')
    const directory = await folder('ceph')
    const server = await startCeph({ port: 0, directory, corsOrigins: [NOBODY] })
    stack.defer(() => server.close())
    return { server, createBuckets }
  })
  const client = onFirstCall(async () => {
    const { buildClient } = await import('./build-client.ts')
    const dist = await folder('client')
    await buildClient(dist)
    return dist
  })
  let buckets = 0
  return {
    chromium: onFirstCall(async () => {
      const { chromium } = await import('playwright-core')
      const server = await chromium.launchServer(chromiumOptions)
      stack.defer(() => server.close())
      return server.wsEndpoint()
    }),
    async ceph(options) {
      const { server, createBuckets } = await ceph()
      const own = { ...server, bucket: `${server.bucket}-${++buckets}` }
      await createBuckets(own, options)
      return own
    },
    ownPackages: onFirstName(async (folder) => {
      await installOwnPackages(folder)
      return join(folder, 'node_modules')
    }),
    tarball: onFirstName(async (name) => {
      const { pack } = await import('../e2e/package/packed.ts')
      return pack(name, await folder('packed'))
    }),
    node: onFirstName(async (version) => {
      const { exec } = await import('../e2e/package/packed.ts')
      const name = `node-${process.platform}-${process.arch}`
      const place = await folder(`node-${version}`)
      const options = ['--no-save', '--prefer-offline', '--no-audit', '--no-fund']
      await exec(place, 'npm', 'install', '--prefix', place, ...options, `${name}@${version}`)
      return join(place, 'node_modules', name, 'bin')
    }),
    clientPage: onFirstName(async (name) => {
      const { bundleClientPage } = await import('./build-client.ts')
      return bundleClientPage(name, { dist: await client(), outDir: await folder('pages') })
    }),
    worker: onFirstName(async (kind = 'everything') => {
      const { buildWorker } = await import('./build-worker.ts')
      return buildWorker(await folder(`worker-${kind}`), kind)
    }),
    workerHost: onFirstCall(async () => {
      const { startWorkerHost } = await import('./worker-host.ts')
      const { child, address } = await startWorkerHost()
      stack.defer(async () => {
        const ended = once(child, 'exit')
        child.disconnect()
        await ended
      })
      return address
    }),
  }
}

/** Returns a function that does `work` at its first call, and again only after a failure. */
function onFirstCall<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let result: Promise<Result> | undefined
  return () => {
    result ??= work().catch((error: unknown) => {
      result = undefined
      throw error
    })
    return result
  }
}

/** Returns a function that does `work` once for each name. */
function onFirstName<Name extends string, Result>(
  work: (name: Name) => Promise<Result>,
): (name: Name) => Promise<Result> {
  const byName = new Map<Name, () => Promise<Result>>()
  return (name) => {
    const known = byName.get(name) ?? onFirstCall(() => work(name))
    byName.set(name, known)
    return known()
  }
}
