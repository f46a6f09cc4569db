import { defineConfig } from 'vite'

export default defineConfig({
  build: {
    target: 'es2022',
    sourcemap: true,
    lib: {
      entry: { index: 'src/index.ts', uppy: 'src/uppy.ts', react: 'src/react.ts' },
      formats: ['es'],
    },
    rolldownOptions: {
      external: ['react'],
      // `'use client'` is kept: test/e2e/client-build.test.ts.
      onLog: (level, log, handle) => {
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') handle(level, log)
      },
      // `uppy.js` imports shared code from `index.js`, so that there is no third file.
      preserveEntrySignatures: 'allow-extension',
      output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', minify: true },
    },
  },
})
