/** The members of Uppy's file that are used here. */
export interface UppyFile {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly size: number | null
  readonly data: Blob | { readonly size: number | null } | undefined
  readonly meta: Readonly<Record<string, unknown>>
}

/** Returns the name that the user sees and may have changed. */
export const nameOf = ({ name, meta }: UppyFile): string =>
  typeof meta.name === 'string' && meta.name !== '' ? meta.name : name
