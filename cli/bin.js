#!/usr/bin/env node
import { existsSync } from 'node:fs'

// A clone has the sources. The package has only the built program.
const source = new URL('main.ts', import.meta.url)
await import(existsSync(source) ? source.href : '../dist/cli/main.js')
