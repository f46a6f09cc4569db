/**
 * Returns a Blob's type without parameters that the API refuses because of a comma. A recording has
 * such a type: `video/webm;codecs=vp8,opus`.
 */
export const withoutCommas = (type: string): string => type.replace(/;.*,.*/, '')
