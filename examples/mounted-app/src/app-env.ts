/** What wrangler.toml binds, and the secrets of the login. `settingsFromEnv` reads those of the bucket. */
export interface Env {
  readonly FILES: KVNamespace
  readonly IMAGES?: ImagesBinding
  readonly SESSION_SECRET: string
  readonly PASSWORD: string
}

export interface Vars {
  /** The logged-in user, or null. */
  user: string | null
}

export interface AppEnv {
  Bindings: Env
  Variables: Vars
}
