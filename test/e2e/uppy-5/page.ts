import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import GoldenRetriever from '@uppy/golden-retriever'
import { drive } from '../uppy/drive.ts'

drive(({ endpoint, headers, multipart, golden }) => {
  const uppy = new Uppy()
  if (golden) uppy.use(GoldenRetriever)
  if (endpoint === null) throw new Error('Uppy 5 has no signRequest.')
  // Ceph RGW on SQLite loses parts that arrive together.
  const limit = 1
  return uppy.use(AwsS3, { shouldUseMultipart: () => multipart, endpoint, headers, limit })
})
