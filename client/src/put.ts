import { PresignerError } from './presigner-error.ts'

/** The longest silence: a connection that is gone does not always say so. */
const STALL_MILLISECONDS = 120_000

/** A presigned PUT. */
export interface Target {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Sends `body` to the bucket, by XMLHttpRequest, for only that tells the progress of an upload.
 * Resolves with the ETag, empty where CORS rules hide it. Throws PresignerError: `bucket_refused`,
 * `network`.
 */
export const put = (
  { url, headers }: Target,
  body: Blob,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<string> =>
  new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest()
    const stop = () => xhr.abort()
    let timer = 0
    const alive = () => {
      clearTimeout(timer)
      timer = setTimeout(stop, STALL_MILLISECONDS)
    }
    xhr.open('PUT', url)
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value)
    xhr.upload.onprogress = ({ loaded }) => {
      alive()
      onProgress(loaded)
    }
    xhr.onloadend = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      const { status } = xhr
      if (status >= 200 && status < 300) {
        resolve(xhr.getResponseHeader('ETag') ?? '')
      } else if (status) {
        const reason = /<Code>(\w+)/.exec(xhr.responseText)?.[1] ?? ''
        reject(new PresignerError('bucket_refused', `The bucket: ${status} ${reason}`, { status }))
      } else {
        reject(new PresignerError('network', 'No answer of the bucket'))
      }
    }
    signal.addEventListener('abort', stop)
    alive()
    xhr.send(body)
  })
