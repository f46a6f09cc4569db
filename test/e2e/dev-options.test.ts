import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readOptions } from '../../cli/options.ts'
import { findConfig } from '../../cli/worker-config.ts'
import { shownLines, WorkerOutput } from '../../cli/worker-output.ts'
import { ROOT } from '../docs/support/markdown.ts'

const ADDRESSES = ['192.0.2.7', '172.17.0.1']
const read = (...args: readonly string[]) => readOptions(args, ADDRESSES)

describe('the options of npm run dev', () => {
  it('have defaults', () => {
    expect(read()).toEqual({
      help: false,
      all: false,
      wrangler: false,
      bucket: undefined,
      ceph: false,
      port: 8787,
      s3Port: 4568,
      data: '.dev',
      origins: [],
      host: undefined,
      envFile: undefined,
      vars: undefined,
    })
  })

  it('accept --all, for the Worker of a clone that has all plugins', () => {
    expect(read('--all').all).toBe(true)
    expect(relative(ROOT, findConfig(true))).toBe(join('examples', 'everything', 'wrangler.toml'))
    expect(relative(ROOT, findConfig())).toBe('wrangler.toml')
  })

  it('accept --host with and without an address of this machine', () => {
    expect(read('--host').host).toBe('192.0.2.7')
    expect(read('--host', '--port', '3000')).toMatchObject({ host: '192.0.2.7', port: 3000 })
    expect(read('--host', '172.17.0.1').host).toBe('172.17.0.1')
    expect(read('--host=172.17.0.1').host).toBe('172.17.0.1')
  })

  it('accept --origin more than once', () => {
    expect(read('--origin', 'https://a.example', '--origin', 'http://b.test:81').origins).toEqual([
      'https://a.example',
      'http://b.test:81',
    ])
  })

  it.each([
    [['--cehp'], '--cehp'],
    [['8799', 'real.env'], 'Unexpected argument 8799. With npm run, write -- before the options'],
    [['--port', 'http'], '--port must be'],
    [['--port', '0'], '--port must be'],
    [['--s3-port', '8787'], 'must differ'],
    [['--data', ''], '--data must'],
    [['--origin', 'https://app.example.com/'], '--origin must'],
    [['--origin', '*'], '--origin must'],
    [['--origin', 'https://*.example.com'], '--origin must'],
    [['--origin', 'null'], '--origin must'],
    [['--origin', 'file:///tmp'], '--origin must'],
    [['--host', '0.0.0.0'], 'of this machine: 192.0.2.7 or 172.17.0.1'],
    [['--host', 'example.com'], 'of this machine'],
    [['--host', '--ceph'], "can't be combined"],
    [['--env-file', ''], '--env-file must'],
    [['--vars', ''], '--vars must'],
    [['--bucket', ''], '--bucket must'],
    [['--bucket', '.env', '--vars', 'x'], '--bucket starts no Worker'],
    [['--bucket', '.env', '--env-file', 'x'], '--bucket starts no Worker'],
    [['--bucket', '.env', '--host'], '--bucket starts no Worker'],
    [['--bucket', '.env', '--all'], '--bucket starts no Worker'],
    [['--bucket', '.env', '--ceph'], '--bucket starts no Worker'],
    [['--bucket', '.env', '--wrangler'], '--bucket starts no Worker'],
    [['--vars', 'x', '--env-file', 'y'], "--vars can't be combined with --env-file"],
    [['--env-file', 'x', '--ceph'], "can't be combined with --ceph"],
    [['--env-file', 'x', '--s3-port', '1'], "can't be combined with --ceph or --s3-port"],
  ])('refuse %j', (args, message) => {
    expect(() => read(...args)).toThrow(message)
  })

  it('refuse --host when the machine has no address', () => {
    expect(() => readOptions(['--host'], [])).toThrow('no IPv4 address')
  })
})

describe('in the output of wrangler', () => {
  it.each([
    '',
    '⎔ Reloading local server...',
    '[wrangler:info] GET /files?prefix=secret 200 OK (3ms)',
    '[custom build] Running: npm run build --silent',
    '[custom build] Built the page.',
    '{"requestId":"1","method":"GET","route":"/files","status":200,"milliseconds":1}',
    '{"requestId":"1","method":"POST","route":"/files","status":400,"code":"invalid_request"}',
    '{"method":"OPTIONS","status":401,"code":"unauthenticated","reason":"no credentials"}',
  ])('%j is hidden', (line) => {
    expect(shownLines(line)).toEqual([])
  })

  it.each([
    ['✘ [ERROR] Build failed with 1 error:', '✘ [ERROR] Build failed with 1 error:'],
    ['[custom build] error during build:', '[custom build] error during build:'],
    ['what someone logs', 'what someone logs'],
    ['{"what": "someone logs"', '{"what": "someone logs"'],
    [
      '{"method":"GET","route":"/files","status":503,"code":"misconfigured","message":"M","reason":"R"}',
      '  GET /files: misconfigured: M: R',
    ],
    [
      '{"method":"GET","route":"/i","status":200,"warning":"purge failed"}',
      '  GET /i: warning: purge failed',
    ],
    [
      '{"webhook":"file.recorded","endpoint":"a.example","status":204}',
      'webhook file.recorded a.example 204',
    ],
    [
      '\u001b[33m▲ \u001b[43;33m[\u001b[43;30mWARNING\u001b[43;33m]\u001b[0m \u001b[1m{"warning":"webhook not delivered","endpoint":"a.example","event":"evt_1","reason":"status 500","attempt":1,"retryInSeconds":11}\u001b[0m',
      '  webhook not delivered: a.example: status 500, again in 11 s',
    ],
    ['▲ [WARNING] something else', '▲ [WARNING] something else'],
    ['{"warning":"key set not read","reason":"timeout"}', '  warning: key set not read'],
  ])('%j is shown', (line, shown) => {
    expect(shownLines(line)[0]).toBe(shown)
  })

  it("the output before the Worker's start is shown only if it does not start", () => {
    for (const [fails, expected] of [
      [false, ['later']],
      [true, ['[wrangler:info] why', 'later']],
    ] as const) {
      const printed: string[] = []
      const output = new WorkerOutput((line) => printed.push(line))
      output.add('[wrangler:info] why')
      if (fails) output.failed()
      output.started()
      output.add('later')
      expect(printed).toEqual(expected)
    }
  })

  it('an error is shown immediately, with the output before it', () => {
    const printed: string[] = []
    const output = new WorkerOutput((line) => printed.push(line))
    output.add('before')
    output.add('✘ [ERROR] No such module')
    output.add('  src/worker.ts:1:1')
    expect(printed).toEqual(['before', '✘ [ERROR] No such module', '  src/worker.ts:1:1'])
  })

  it('explains a class that is declared and not exported, which workerd does not name', () => {
    const printed: string[] = []
    const output = new WorkerOutput((line) => printed.push(line))
    const error =
      '✘ [ERROR] service core:user:p: Uncaught TypeError: Class extends value undefined is not a constructor or null'
    output.add(error)
    output.add('  {"level":"error","message":"Class extends value undefined"}')
    expect(printed).toEqual([
      error,
      expect.stringContaining('docs/share.md#set-it-up'),
      '  {"level":"error","message":"Class extends value undefined"}',
    ])
  })
})
