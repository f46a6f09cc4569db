export interface SigningSecret {
  /**
   * Name of the instance: 1 to 32 of a-z, 0-9 and "-". Instances with different names refuse each
   * other's signatures, even with the same secret. Empty for the deployable Worker.
   */
  readonly name: string
  readonly kid: string
  readonly secret: string
}

/** The secrets that sign links, tokens, cursors and upload ids. */
export interface SigningSettings {
  /** The first one signs, and all of them verify. */
  readonly signingSecrets: readonly [SigningSecret, ...SigningSecret[]]
}
