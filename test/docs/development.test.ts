import { parseEnv } from 'node:util'
import { expect, it } from 'vitest'
import * as z from 'zod/mini'
import { readOptions, USAGE } from '../../dev/options.ts'
import { loadEnvironment } from '../../src/cloudflare/environment.ts'
import { markedBlock, readPage } from './support/markdown.ts'

const PAGE = 'docs/development.md'

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

it.each(['env-r2', 'env-aws'])('has an environment file that the Worker accepts: %s', (mark) => {
  const variables = parseEnv(markedBlock(PAGE, mark))
  const SIGNING_SECRETS = `k1:${'0123456789abcdef'.repeat(2)}` // The one that `npm run dev` adds
  expect(loadEnvironment({ ...variables, SIGNING_SECRETS, ...bindings })).toMatchObject({
    ok: true,
  })
})

it('has variables of webhooks and notifications that the Worker accepts', () => {
  const [bucket, events] = ['env-r2', 'env-events'].map((mark) => markedBlock(PAGE, mark))
  const SIGNING_SECRETS = `k1:${'0123456789abcdef'.repeat(2)}`
  const loaded = loadEnvironment({
    ...parseEnv(`${bucket}${events}`),
    SIGNING_SECRETS,
    ...bindings,
  })
  expect(loaded.ok && loaded.settings.webhooks.map(({ url }) => url)).toEqual([
    'http://localhost:3000/webhooks/files',
  ])
})

it('adds to the environment file what doctor needs', () => {
  const variables = parseEnv(
    ['env-r2', 'env-doctor'].map((mark) => markedBlock(PAGE, mark)).join(''),
  )
  expect(loadEnvironment({ ...variables, ...bindings })).toMatchObject({ ok: true })
  const [rule] = JSON.parse(markedBlock(PAGE, 'cors-localhost'))
  expect(JSON.parse(variables.CORS_ORIGINS ?? '')).toEqual(rule.AllowedOrigins)
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
