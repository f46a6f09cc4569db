import { sizeInWords } from './words.ts'

/** Takes the place of Uppy's `@transloadit/prettier-bytes`, where a KB has 1024 bytes. */
export const prettierBytes = sizeInWords
