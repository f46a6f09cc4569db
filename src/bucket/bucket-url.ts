import type { Address } from './bucket.ts'

interface Named extends Address {
  readonly name: string
}

/** Returns the address of a bucket's server, without the name of the bucket in the host or the path. */
export const serverUrl = ({ origin, basePath, name }: Named): string =>
  basePath.endsWith(`/${name}/`)
    ? origin + basePath.slice(0, -name.length - 1)
    : origin.replace(`//${name}.`, '//') + basePath

/** Returns the bucket's URL with addressing "path", the same for every alias. It tells two buckets apart. */
export const bucketUrl = (bucket: Named): string => `${serverUrl(bucket)}${bucket.name}/`

/** Returns those of `buckets` that have this URL: all aliases of one bucket. */
export const bucketsAt = <B extends Named>(buckets: readonly B[], url: string): B[] =>
  buckets.filter((bucket) => bucketUrl(bucket) === url)
