import { inject } from 'vitest'
import type { S3Server, S3ServerOptions } from '../../cli/s3-server.ts'
import { callAt } from '../setup/calls.ts'
import type { SharedServices } from '../setup/share-services.ts'

/** Calls a service that the test files of a run share. It may have to start first. */
export async function shared<Name extends keyof SharedServices>(
  name: Name,
  ...args: Parameters<SharedServices[Name]>
): Promise<Awaited<ReturnType<SharedServices[Name]>>> {
  const result = await callAt(inject('sharedServices'), name, args)
  return result as Awaited<ReturnType<SharedServices[Name]>>
}

/**
 * Returns the Ceph RGW of this run with buckets for the caller, instead of a server for one file.
 * The folder and port of `options` have no effect.
 */
export async function sharedCeph(options: S3ServerOptions): Promise<S3Server> {
  // The server ends with the run.
  return { ...(await shared('ceph', options)), close: async () => {} }
}
