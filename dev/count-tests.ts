import { readFile } from 'node:fs/promises'
import * as z from 'zod/mini'

const reportSchema = z.object({
  success: z.boolean(),
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
})

/**
 * Prints what Vitest's JSON report (its path is the argument) counted: `N passed, N failed, N
 * skipped`.
 */
const text = await readFile(process.argv[2] ?? '', 'utf8')
const report = reportSchema.parse(JSON.parse(text))
const { success, numPassedTests, numFailedTests, numPendingTests } = report
// A file that can't even be loaded has no tests to count, and still is a failure.
const failed = success ? numFailedTests : Math.max(numFailedTests, 1)
console.log(`${numPassedTests} passed, ${failed} failed, ${numPendingTests} skipped`)
process.exitCode = failed === 0 && numPassedTests > 0 ? 0 : 1
