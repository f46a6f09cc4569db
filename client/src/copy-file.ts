import { isEither } from './check.ts'
import type { CopyOptions } from './requests.ts'
import { isFileRecord, isUnfinishedCopy, type RecordedFile } from './responses.ts'

/** Sends one POST as the client does. */
type Post = <T>(
  check: (value: unknown) => value is T,
  method: 'POST',
  path: string,
  request: { readonly body: object; readonly signal?: AbortSignal | undefined },
) => Promise<T>

/** Copies or moves a file. Repeats the request of a large one until the bucket has all of it. */
export async function copyFile(
  api: Post,
  kind: 'copy' | 'move',
  file: CopyOptions & { from: string; to: string; bucket: string | undefined },
  signal?: AbortSignal,
): Promise<RecordedFile> {
  let cursor: string | undefined
  for (;;) {
    const request = { body: { ...file, cursor }, signal }
    const answer = await api(
      isEither(isFileRecord, isUnfinishedCopy),
      'POST',
      `/files/${kind}`,
      request,
    )
    if (!('cursor' in answer)) return answer
    cursor = answer.cursor
  }
}
