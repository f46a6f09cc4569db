import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import GoldenRetriever from '@uppy/golden-retriever'
import { createClient } from '../../../client/src/index.ts'
import { recordUploads, uppyOptions } from '../../../client/src/uppy.ts'
import { drive } from '../uppy/drive.ts'
import type { UppySettings } from '../uppy/page-api.ts'

drive(({ endpoint, presigner, helpers, multipart: shouldUseMultipart, golden }) => {
  const uppy = new Uppy()
  if (golden) uppy.use(GoldenRetriever)
  if (endpoint !== null) return uppy.use(AwsS3, { shouldUseMultipart, companionEndpoint: endpoint })
  if (!helpers) return uppy.use(AwsS3, { shouldUseMultipart, signRequest: byHand(presigner) })
  const client = createClient(presigner)
  recordUploads(uppy, client)
  return uppy.use(AwsS3, { shouldUseMultipart, ...uppyOptions(client) })
})

/** As docs/uppy.md shows it for pages without our client. */
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
