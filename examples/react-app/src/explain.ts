// biome-ignore lint/performance/noBarrelFile: pages without React copy this file
export { canRetry, explain } from 'edge-presigner-client'
