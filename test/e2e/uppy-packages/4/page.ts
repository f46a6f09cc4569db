import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import { drive } from '../../uppy/drive.ts'

drive({
  create: () => new Uppy(),
  install(uppy, { endpoint, headers, multipart, cookies }) {
    const cookiesRule = cookies ? 'include' : 'same-origin'
    const options = { endpoint: String(endpoint), headers, cookiesRule, limit: 1 } as const
    uppy.use(AwsS3, { ...options, shouldUseMultipart: () => multipart })
  },
  renew(uppy, { endpoint }) {
    uppy.getPlugin('AwsS3Multipart')?.setOptions({ endpoint: String(endpoint) })
  },
})
