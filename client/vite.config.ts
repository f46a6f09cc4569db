import { defineConfig } from 'vite'

// Run twice: for pages, and with `--mode server`. So that `server.js` is complete in itself, and
// `index.js` has nothing that only servers need.
export default defineConfig(({ mode }) => ({
  // Not that of development, which another NODE_ENV would choose.
  oxc: { jsx: { runtime: 'automatic', development: false } },
  build: {
    target: 'es2022',
    sourcemap: true,
    emptyOutDir: mode !== 'server',
    lib: {
      entry:
        mode === 'server'
          ? { server: 'src/server.ts' }
          : {
              index: 'src/index.ts',
              uppy: 'src/uppy.ts',
              react: 'src/react.ts',
              dropzone: 'src/dropzone.tsx',
              sharing: 'src/sharing.ts',
            },
      formats: ['es'],
    },
    rolldownOptions: {
      external: ['react', 'react/jsx-runtime'],
      // `'use client'` is kept: test/e2e/client-build.slow.test.ts.
      onLog: (level, log, handle) => {
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') handle(level, log)
      },
      // The others import shared code from `index.js`, so that there are no more files.
      preserveEntrySignatures: 'allow-extension',
      output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', minify: true },
    },
  },
}))
