export { canRetry, explain } from 'edge-presigner-client'
