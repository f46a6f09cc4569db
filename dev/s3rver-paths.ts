import { resolve, sep } from 'node:path'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import FilesystemStore from '@20minutes/s3rver/lib/stores/filesystem.js'

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const UPLOAD_ID = /^[A-Za-z0-9_-]{1,128}$/
const PART_NUMBER = /^[1-9]\d{0,4}$/
const MAX_PART_NUMBER = 10_000

/**
 * Makes s3rver's store refuse names that would lead out of their folder. The store makes paths of
 * bucket, key, upload id and part number, whatever request they came by and however often that was
 * decoded: so this is the place to look at them.
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

/** A backslash separates folders on Windows; `._S3rver_` marks the files of the store itself. */
function requireKey(key: unknown): void {
  if (typeof key !== 'string' || key.includes('\0') || key.includes('._S3rver_')) throw invalidKey()
  if (key.split(/[/\\]/).some((segment) => segment === '.' || segment === '..')) throw invalidKey()
}

/** Throws NoSuchUpload unless the id can name a folder of its own. */
export function requireUploadId(uploadId: unknown): asserts uploadId is string {
  if (typeof uploadId !== 'string' || !UPLOAD_ID.test(uploadId)) throw noSuchUpload()
}

export const noSuchUpload = (): S3Error =>
  new S3Error('NoSuchUpload', 'The specified multipart upload does not exist.')

function requirePartNumber(number: unknown): void {
  if (typeof number !== 'string' || !PART_NUMBER.test(number) || Number(number) > MAX_PART_NUMBER)
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000.')
}

const invalidKey = (): S3Error => new S3Error('InvalidURI', "Couldn't parse the specified URI.")
