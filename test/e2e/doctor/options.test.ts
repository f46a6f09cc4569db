import { describe, expect, it } from 'vitest'
import { UsageError } from '../../../cli/command.ts'
import { readOptions } from '../../../cli/doctor/options.ts'

describe('the command line of doctor', () => {
  it('may be empty, for wrangler.toml and .dev.vars', () => {
    expect(readOptions([])).toEqual({
      help: false,
      envFile: undefined,
      config: 'wrangler.toml',
      environment: undefined,
      bucket: undefined,
      url: undefined,
      fixCors: false,
      yes: false,
      admin: undefined,
      timeoutSeconds: 10,
      json: false,
      report: false,
    })
  })

  it('may start with "--", and accepts a URL with a trailing slash', () => {
    const { envFile, url } = readOptions([
      ...['--', '--env-file', 'a.env', '--url', 'https://files.example/'],
    ])
    expect({ envFile, url }).toEqual({ envFile: 'a.env', url: 'https://files.example' })
  })

  it('names an unknown option, above the usage', () => {
    expect(() => readOptions(['--fast'])).toThrow(/^Unknown option '--fast'\.\n\nnpx /)
  })

  it.each([
    ['an argument', ['now']],
    ['a URL with a path', ['--url', 'https://worker.example/api']],
    ['a URL with a password', ['--url', 'https://ann:pass@worker.example']],
    ['a URL with a query', ['--url', 'https://worker.example/?a=b']],
    ['a host', ['--url', 'worker.example']],
    ['only --yes', ['--yes']],
    ['a question without a terminal', ['--json', '--fix-cors']],
    ['a question above a result to publish', ['--report', '--fix-cors']],
    ['a timeout of zero', ['--timeout', '0']],
    ['a timeout that is not a number', ['--timeout', 'long']],
    ['a timeout of an hour', ['--timeout', '3600']],
  ])('is refused with %s', (_, args) => {
    expect(() => readOptions(args)).toThrow(UsageError)
  })
})
