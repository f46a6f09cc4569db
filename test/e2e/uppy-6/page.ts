import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import GoldenRetriever from '@uppy/golden-retriever'
import { createClient } from '../../../client/src/index.ts'
import { recordUploads, uppyOptions } from '../../../client/src/uppy.ts'
import { drive } from '../uppy/drive.ts'

drive(({ endpoint, presigner, multipart: shouldUseMultipart, golden }) => {
  const uppy = new Uppy()
  if (golden) uppy.use(GoldenRetriever)
  if (endpoint !== null) return uppy.use(AwsS3, { shouldUseMultipart, companionEndpoint: endpoint })
  const client = createClient(presigner)
  recordUploads(uppy, client)
  return uppy.use(AwsS3, { shouldUseMultipart, ...uppyOptions(client) })
})
