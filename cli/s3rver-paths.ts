import { resolve, sep } from 'node:path'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import FilesystemStore from '@20minutes/s3rver/lib/stores/filesystem.js'

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const UPLOAD_ID = /^[A-Za-z0-9_-]{1,128}$/
const PART_NUMBER = /^[1-9]\d{0,4}$/
const MAX_PART_NUMBER = 10_000

/**
 * Makes s3rver's store refuse names that would lead outside their folder. The store builds paths
 * from the bucket, key, upload id and part number of every request, after all decoding. So this is
 * the place to check them.
 */
export function confineStore(): void {
  const store = FilesystemStore.prototype
  const { getBucketPath, getResourcePath, initiateUpload, putPart } = store

  store.getBucketPath = function (bucket) {
    requireBucket(bucket)
    return getBucketPath.call(this, bucket)
  }

  store.getResourcePath = function (bucket, key, resource) {
    requireBucket(bucket)
    if (key !== undefined) requireKey(key)
    const path = getResourcePath.call(this, bucket, key, resource)
    if (!resolve(path).startsWith(resolve(this.rootDirectory, bucket) + sep)) throw invalidKey()
    return path
  }

  store.initiateUpload = async function (bucket, key, uploadId, metadata) {
    requireKey(key)
    return initiateUpload.call(this, bucket, key, uploadId, metadata)
  }

  store.putPart = async function (bucket, uploadId, partNumber, content) {
    requireUploadId(uploadId)
    requirePartNumber(partNumber)
    return putPart.call(this, bucket, uploadId, partNumber, content)
  }
}

function requireBucket(bucket: unknown): void {
  if (typeof bucket !== 'string' || !BUCKET_NAME.test(bucket))
    throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.')
}

/**
 * Throws for a key with dot segments, and for `._S3rver_`, which marks the store's own files. A
 * backslash separates folders on Windows.
 */
function requireKey(key: unknown): void {
  if (typeof key !== 'string' || key.includes('\0') || key.includes('._S3rver_')) throw invalidKey()
  if (key.split(/[/\\]/).some((segment) => segment === '.' || segment === '..')) throw invalidKey()
}

/** Throws NoSuchUpload unless the id is a valid folder name. */
export function requireUploadId(uploadId: unknown): asserts uploadId is string {
  if (typeof uploadId !== 'string' || !UPLOAD_ID.test(uploadId)) throw noSuchUpload()
}

export const noSuchUpload = (): S3Error =>
  new S3Error('NoSuchUpload', 'The specified upload in parts does not exist.')

function requirePartNumber(number: unknown): void {
  if (typeof number !== 'string' || !PART_NUMBER.test(number) || Number(number) > MAX_PART_NUMBER)
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000.')
}

const invalidKey = (): S3Error => new S3Error('InvalidURI', "Couldn't parse the specified URI.")
