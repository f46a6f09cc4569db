import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import GoldenRetriever from '@uppy/golden-retriever'
import { createClient } from '../../../client/src/index.ts'
import { recordUploads, uppyOptions } from '../../../client/src/uppy.ts'
import { type Driver, drive } from '../uppy/drive.ts'
import type { UppySettings } from '../uppy/page-api.ts'

const install: Driver<Uppy>['install'] = (
  uppy,
  { endpoint, presigner, helpers, multipart: shouldUseMultipart },
) => {
  if (endpoint !== null) uppy.use(AwsS3, { shouldUseMultipart, companionEndpoint: endpoint })
  else if (!helpers) uppy.use(AwsS3, { shouldUseMultipart, signRequest: byHand(presigner) })
  else {
    const client = createClient(presigner)
    recordUploads(uppy, client)
    uppy.use(AwsS3, { shouldUseMultipart, ...uppyOptions(client) })
  }
}

drive({
  create({ golden }) {
    const uppy = new Uppy()
    if (golden) uppy.use(GoldenRetriever)
    return uppy
  },
  install,
  renew(uppy, settings) {
    const plugin = uppy.getPlugin('AwsS3')
    if (plugin) uppy.removePlugin(plugin)
    install(uppy, settings)
  },
})

/** As docs/uppy.md shows it for pages without the client package. */
const byHand =
  ({ baseUrl, token }: UppySettings['presigner']) =>
  async (request: object) => {
    const response = await fetch(`${baseUrl}/s3/sign`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify(request),
    })
    if (!response.ok) throw new Error((await response.json()).message)
    return response.json()
  }
