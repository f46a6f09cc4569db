import type { Api } from './api.ts'
import type { ReportPart } from './progress.ts'
import type { StartRequest } from './requests.ts'

/** What one upload works on. */
export interface Job {
  readonly api: Api
  readonly file: Blob
  readonly request: StartRequest
  readonly report: ReportPart
  /** Ends all requests of this upload. */
  readonly signal: AbortSignal
}
