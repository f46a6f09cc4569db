import manifest from '../../package.json' with { type: 'json' }

/**
 * The versions that a project gets, from the repository's package.json. The build keeps only these
 * in dist/ (vite.config.ts).
 */
export const VERSIONS = {
  presigner: manifest.version,
  hono: manifest.peerDependencies.hono,
  node: manifest.devDependencies.node,
  wrangler: manifest.devDependencies.wrangler,
  s3rver: manifest.devDependencies['@20minutes/s3rver'],
} as const
