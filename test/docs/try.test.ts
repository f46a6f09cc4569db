import { parseEnv } from 'node:util'
import { expect, it } from 'vitest'
import * as z from 'zod/mini'
import { readOptions, USAGE } from '../../cli/options.ts'
import { webhooksRule } from '../../src/plugins/events/options.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { readVariable } from '../../src/worker/variables.ts'
import { markedBlock, readPage } from './support/markdown.ts'

const PAGE = 'docs/try.md'

it('has exactly the options of npm run dev', () => {
  const shown = [...readPage(PAGE).matchAll(/^\| `(--[^`]+)` \|/gm)].map(([, option]) => option)
  const used = [...USAGE.matchAll(/^ {2}(--.+?) {2,}/gm)].map(([, option]) => option)
  expect(shown.toSorted()).toEqual(used.toSorted())
  for (const option of used) {
    const [flag = '', value] = (option ?? '').split(' ')
    const example = { N: '3000', DIR: 'x', ORIGIN: 'https://a.example', FILE: 'y' }[value ?? '']
    const args = example === undefined ? [flag] : [flag, example]
    expect(() => readOptions(args, ['192.0.2.1']), option).not.toThrow()
  }
})

const bindings = {
  FILE_INDEX: { list: () => undefined, getWithMetadata: () => undefined },
  RATE_LIMITER: { limit: () => undefined },
}

const SIGNING_SECRETS = `k1:${'0f1e2d3c'.repeat(8)}` // The one that `npm run dev` adds

/** The variables in these blocks, with secrets instead of what the Worker refuses. */
const variablesIn = (...marks: string[]) => {
  const text = marks.map((mark) => markedBlock(PAGE, mark)).join('')
  const filled = text
    .replace('whsec_replace-this', `whsec_${btoa('0f1e2d3c'.repeat(4))}`)
    .replaceAll(/\breplace-this[\w-]*/g, '0f1e2d3c'.repeat(8))
    .replaceAll(/=your-/g, '=')
  return { asPrinted: parseEnv(text), filled: parseEnv(filled) }
}

const refused = (variables: object): string[] => {
  const loaded = loadEnvironment({ SIGNING_SECRETS, ...bindings, ...variables })
  return loaded.ok ? [] : loaded.issues.map(({ path }) => path)
}

it('has an environment file that the Worker accepts with your own key', () => {
  const { asPrinted, filled } = variablesIn('env-r2')
  expect(refused(filled)).toEqual([])
  expect(refused(asPrinted)).toEqual(['S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'])
})

it('has variables of webhooks and notifications that the Worker accepts with your own secrets', () => {
  const { filled } = variablesIn('env-r2', 'env-events')
  expect(refused(filled)).toEqual([])
  const { value } = readVariable(filled, 'WEBHOOKS', webhooksRule)
  expect(value?.map(({ url }) => url)).toEqual(['http://localhost:3000/webhooks/files'])
  const printed = parseEnv(markedBlock(PAGE, 'env-events'))
  expect(refused({ ...filled, ...printed })).toEqual(['NOTIFICATION_SECRETS', 'WEBHOOKS.0.secret'])
})

it('adds to the environment file what doctor needs', () => {
  const { asPrinted, filled } = variablesIn('env-r2', 'env-doctor')
  expect(refused(filled)).toEqual([])
  expect(refused({ ...filled, SIGNING_SECRETS: asPrinted.SIGNING_SECRETS })).toEqual([
    'SIGNING_SECRETS',
  ])
  const [rule] = JSON.parse(markedBlock(PAGE, 'cors-localhost'))
  expect(JSON.parse(filled.CORS_ORIGINS ?? '')).toEqual(rule.AllowedOrigins)
})

it('has CORS rules that allow the page of npm run dev and a different port', () => {
  const schema = z.array(
    z.object({ AllowedOrigins: z.array(z.url()), ExposeHeaders: z.array(z.string()) }),
  )
  const [rule] = schema.parse(JSON.parse(markedBlock(PAGE, 'cors-localhost')))
  expect(rule).toEqual({
    AllowedOrigins: ['http://localhost:8787', 'http://localhost:5173'],
    ExposeHeaders: ['ETag', 'Location'],
  })
})
