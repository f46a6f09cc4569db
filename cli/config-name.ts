import { existsSync } from 'node:fs'

/** The names of a configuration, in wrangler's order. */
export const CONFIG_NAMES: readonly string[] = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml']

/** Returns the name of the configuration in the current folder that wrangler uses, if there is one. */
export const configName = (): string | undefined => CONFIG_NAMES.find((name) => existsSync(name))

export const NO_CONFIG =
  'This folder has no wrangler.toml. Go to the folder of your project, or create one: npm create edge-presigner@latest my-files'
