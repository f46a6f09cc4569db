/** What the contracts use of a test runner: Vitest and Jest have it. */
export interface TestRunner {
  it(name: string, test: () => Promise<void>): unknown
  beforeEach(prepare: () => Promise<void>): unknown
  expect: Expect
}

interface Expect {
  (
    value: unknown,
    message?: string,
  ): Expectation & {
    readonly not: Expectation
    readonly rejects: { toEqual(value: unknown): Promise<unknown> }
  }
  any(type: unknown): unknown
}

interface Expectation {
  toBe(value: unknown): unknown
  toBeGreaterThan(value: number): unknown
  toBeLessThanOrEqual(value: number): unknown
  toBeNull(): unknown
  toEqual(value: unknown): unknown
  toMatchObject(value: object): unknown
  toStrictEqual(value: unknown): unknown
}
