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
      // `uppy.js` takes what it shares with `index.js` from there, rather than both from a third
      // file.
      preserveEntrySignatures: 'allow-extension',
      output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', minify: true },
    },
  },
})
