import { PresignerError } from './presigner-error.ts'
import type { CopyOptions } from './requests.ts'
import { isFileRecord, type RecordedFile } from './responses.ts'

/** Sends one POST as the client does. */
type Post = <T>(
  check: (value: unknown) => value is T,
  method: 'POST',
  path: string,
  request: { readonly body: object },
) => Promise<T>

/** A call that is killed keeps its keys for five minutes. */
const LONGEST_WAIT_SECONDS = 60
const MAX_TRIES = 8

/**
 * Copies or moves a file. While another copy or move uses one of its keys, waits as long as the API says,
 * and sends the request again.
 */
export async function copyFile(
  api: Post,
  kind: 'copy' | 'move',
  file: CopyOptions & { from: string; to: string; bucket: string | undefined },
): Promise<RecordedFile> {
  for (let tries = 1; ; tries++)
    try {
      return await api(isFileRecord, 'POST', `/files/${kind}`, { body: file })
    } catch (error) {
      const isBusy = error instanceof PresignerError && error.code === 'storage_busy'
      const seconds = isBusy ? error.retryAfter : 0
      if (!seconds || seconds > LONGEST_WAIT_SECONDS || tries === MAX_TRIES) throw error
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    }
}
