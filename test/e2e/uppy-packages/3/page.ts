import AwsS3 from '@uppy/aws-s3'
import AwsS3Multipart from '@uppy/aws-s3-multipart'
import Uppy from '@uppy/core'
import { type Driver, drive } from '../../uppy/drive.ts'

const allowedMetaFields = ['name', 'caption', 'user.name', 'größe']

const install: Driver<Uppy>['install'] = (
  uppy,
  { endpoint, headers: companionHeaders, plugin, cookies, multipart },
) => {
  const companionUrl = String(endpoint)
  const companionCookiesRule = cookies ? 'include' : 'same-origin'
  const options = { companionUrl, companionHeaders, companionCookiesRule, limit: 1 } as const
  if (plugin === 'aws-s3-multipart')
    uppy.use(AwsS3Multipart, { ...options, shouldUseMultipart: () => multipart })
  else uppy.use(AwsS3, { ...options, allowedMetaFields })
}

drive({
  create: () => new Uppy(),
  install,
  renew(uppy, settings) {
    for (const id of ['AwsS3', 'AwsS3Multipart']) {
      const plugin = uppy.getPlugin(id)
      if (plugin) uppy.removePlugin(plugin)
    }
    install(uppy, settings)
  },
})
