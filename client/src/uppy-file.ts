/** What is used of a file of Uppy's. */
export interface UppyFile {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly size: number | null
  readonly data: Blob | { readonly size: number | null } | undefined
  readonly meta: Readonly<Record<string, unknown>>
}

/** The name that the user sees, and may have changed. */
export const nameOf = ({ name, meta }: UppyFile): string =>
  typeof meta.name === 'string' && meta.name !== '' ? meta.name : name
