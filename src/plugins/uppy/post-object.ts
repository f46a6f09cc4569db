import type { Bucket } from '../../bucket/bucket.ts'
import { escapeXml } from '../../storage/xml.ts'

/**
 * Returns the bucket's headers of an upload as fields of S3 PostObject, which names two of them
 * differently.
 */
export function postObjectFields({
  uploadHeaders,
  requestHeaders,
}: Bucket): Record<string, string> {
  const headers: Readonly<Record<string, string>> = { ...uploadHeaders, ...requestHeaders }
  const { 'x-amz-acl': acl, 'x-amz-tagging': tagging, ...same } = headers
  return {
    ...same,
    ...(acl === undefined ? {} : { acl }),
    ...(tagging === undefined ? {} : { tagging: taggingXml(tagging) }),
  }
}

/** Returns the tags of an `x-amz-tagging` header as S3's XML. */
function taggingXml(tagging: string): string {
  const tags = Array.from(
    new URLSearchParams(tagging),
    ([name, value]) => `<Tag><Key>${escapeXml(name)}</Key><Value>${escapeXml(value)}</Value></Tag>`,
  )
  return `<Tagging><TagSet>${tags.join('')}</TagSet></Tagging>`
}
