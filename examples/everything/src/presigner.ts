import type { Plugin } from '../../../src/plugin.ts'
import * as edge from '../../../src/worker/index.ts'

/** All plugins: those of the default Worker, and each that `src/worker.ts` has as a comment. */
export const PLUGINS: readonly Plugin<edge.WorkerEnv>[] = [
  ...Object.values(edge.defaultPlugins()),
  edge.notifications(),
  edge.grants(),
  edge.dropBoxes(),
  edge.uppy(),
  edge.copies(),
  edge.fileAdmin(),
  edge.userData(),
  edge.upkeep(),
]

/** The Worker. It is not in worker.ts, since what that exports becomes an entrypoint. */
export const worker = edge.createWorker({ plugins: PLUGINS })
export const { presigner } = worker
