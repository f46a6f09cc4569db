/** The variables of wrangler.toml, and the secrets. */
export interface Env {
  readonly FILES: KVNamespace
  readonly IMAGES?: ImagesBinding
  readonly S3_ENDPOINT: string
  readonly S3_REGION: string
  readonly S3_BUCKET: string
  readonly S3_ACCESS_KEY_ID: string
  readonly S3_SECRET_ACCESS_KEY: string
  readonly S3_WRITE_ACCESS_KEY_ID: string
  readonly S3_WRITE_SECRET_ACCESS_KEY: string
  readonly SIGNING_SECRETS: string
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
