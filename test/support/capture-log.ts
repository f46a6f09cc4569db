import { vi } from 'vitest'

/** Returns everything that is written to the console from now on, as text. */
export function captureLog(): string[] {
  const lines: string[] = []
  for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const)
    vi.spyOn(console, level).mockImplementation((...values: unknown[]) => {
      lines.push(values.map(String).join(' '))
    })
  return lines
}
