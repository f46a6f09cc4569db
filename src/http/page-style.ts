/** The look of the pages for visitors. */
export const STYLE = `
:root { font: 16px/1.5 system-ui, sans-serif; color-scheme: light dark; }
body { margin: 0; }
main { box-sizing: border-box; max-width: 34rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
.small { font-size: 0.85rem; opacity: 0.7; }
`
