import type { Plugin } from '../../../src/plugin.ts'
import * as edge from '../../../src/worker/index.ts'

const basic = edge.defaultPlugins()

/** All plugins: those of the default Worker, and each that `src/worker.ts` has as a comment. */
export const PLUGINS: readonly Plugin<edge.WorkerEnv>[] = [
  ...Object.values(basic),
  edge.notifications({ files: basic.files }),
  edge.grants({ links: basic.links }),
  edge.dropBoxes({ files: basic.files, multipart: basic.multipart }),
  edge.uppy({ multipart: basic.multipart }),
  edge.copies(),
  edge.fileAdmin(),
  edge.userData(),
  edge.upkeep({ files: basic.files }),
]

/** The Worker. It is not in worker.ts, since what that exports becomes an entrypoint. */
export const worker = edge.createWorker({ plugins: PLUGINS })
export const { presigner } = worker
