/** The keys that the Worker makes. No other upload has the same one. */
const GENERATED = /(?:^|\/)uploads\/(?:.+\/)?[0-9a-z]{20}-[^/]+$/

/** Tells whether the Worker made `key`, which the caller or the app can't have chosen. */
export const isGenerated = (key: string): boolean => GENERATED.test(key)
