import type { Plugin } from '../plugin.ts'
import {
  apiKeys,
  copies,
  createWorker,
  events,
  files,
  images,
  jwt,
  links,
  multipart,
  notifications,
  tokens,
  uppy,
  type WorkerEnv,
} from './index.ts'

/** The plugins of the Worker: all of them. */
export const PLUGINS: readonly Plugin<WorkerEnv>[] = [
  events(),
  notifications({ files: files() }),
  jwt(),
  links({ images: images() }),
  uppy({ multipart: multipart() }),
  tokens(),
  copies(),
  apiKeys(),
]

/** The Worker. It is not in src/worker.ts, since what that exports becomes an entrypoint. */
export const worker = createWorker({ plugins: PLUGINS })
export const { presigner } = worker
