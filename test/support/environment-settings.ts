import { keepFor } from '../../src/settings/define.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'

/** Returns the settings of variables, secrets and bindings, as those of a Worker. */
export const environmentSettings = keepFor(loadEnvironment)
