import type { Plugin } from '../plugin.ts'
import {
  apiKeys,
  copies,
  createWorker,
  dropBoxes,
  events,
  fileAdmin,
  files,
  grants,
  images,
  jwt,
  links,
  multipart,
  notifications,
  tokens,
  upkeep,
  uppy,
  userData,
  type WorkerEnv,
} from './index.ts'

const records = files()
const parts = multipart()

/** The plugins of the Worker: all of them. */
export const PLUGINS: readonly Plugin<WorkerEnv>[] = [
  events(),
  notifications({ files: records }),
  jwt(),
  grants({ links: links({ images: images() }) }),
  dropBoxes({ files: records, multipart: parts }),
  uppy({ multipart: parts }),
  tokens(),
  copies(),
  fileAdmin(),
  userData(),
  upkeep({ files: records }),
  apiKeys(),
]

/** The Worker. It is not in src/worker.ts, since what that exports becomes an entrypoint. */
export const worker = createWorker({ plugins: PLUGINS })
export const { presigner } = worker
