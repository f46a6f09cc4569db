/** What wrangler.toml binds. The settings of the bucket are secrets. */
export interface Env {
  readonly FILES: KVNamespace
  readonly IMAGES?: ImagesBinding
}

export interface Vars {
  /** The user who is logged in, or null. */
  user: { readonly id: string } | null
}
