import { readFile } from 'node:fs/promises'
import * as z from 'zod/mini'

const reportSchema = z.object({
  success: z.boolean(),
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
})

/**
 * Prints the counts of a Vitest JSON report, whose path is the argument: `N passed, N failed, N
 * skipped`.
 */
const text = await readFile(process.argv[2] ?? '', 'utf8')
const report = reportSchema.parse(JSON.parse(text))
const { success, numPassedTests, numFailedTests, numPendingTests } = report
// A file that fails to load has no tests to count, but is still a failure.
const failed = success ? numFailedTests : Math.max(numFailedTests, 1)
console.log(`${numPassedTests} passed, ${failed} failed, ${numPendingTests} skipped`)
process.exitCode = failed === 0 && numPassedTests > 0 ? 0 : 1
