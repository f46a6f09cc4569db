// Lets TypeScript find the styles, which have no types.
export {}
