import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import GoldenRetriever from '@uppy/golden-retriever'
import { drive } from '../uppy/drive.ts'

drive({
  create({ golden }) {
    const uppy = new Uppy()
    if (golden) uppy.use(GoldenRetriever)
    return uppy
  },
  install(uppy, { endpoint, headers, cookies, multipart }) {
    if (endpoint === null) throw new Error('Uppy 5 has no signRequest.')
    // Ceph RGW on SQLite loses parts that arrive at the same time.
    const limit = 1
    const cookiesRule = cookies ? 'include' : 'same-origin'
    const options = { endpoint, headers, cookiesRule, limit } as const
    uppy.use(AwsS3, { ...options, shouldUseMultipart: () => multipart })
  },
  renew(uppy, { endpoint }) {
    uppy.getPlugin('AwsS3Multipart')?.setOptions({ endpoint: String(endpoint) })
  },
})
