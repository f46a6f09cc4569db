import { defineConfig } from 'vite'

export default defineConfig({
  build: {
    target: 'es2022',
    sourcemap: true,
    lib: {
      entry: { index: 'src/index.ts', uppy: 'src/uppy.ts' },
      formats: ['es'],
    },
    rolldownOptions: {
      // `uppy.js` imports shared code from `index.js`, so that there is no third file.
      preserveEntrySignatures: 'allow-extension',
      output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', minify: true },
    },
  },
})
