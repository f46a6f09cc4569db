import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { DEFAULT_IMAGE_SIZES, sizeOf } from '../../../../src/bucket/image-size.ts'
import { imageSizesRule } from '../../../../src/plugins/links/images/options.ts'
import { loadEnvironment } from '../../../../src/worker/environment.ts'
import { readVariable } from '../../../../src/worker/variables.ts'
import { s3rverBucket } from '../../../support/worker.ts'

const load = (IMAGE_WIDTHS: unknown) =>
  loadEnvironment({ ...env, BUCKETS: { files: s3rverBucket() }, IMAGE_WIDTHS })

/** The sizes that the plugin reads. */
function sizesOf(IMAGE_WIDTHS: unknown) {
  const { value } = readVariable({ IMAGE_WIDTHS }, 'IMAGE_WIDTHS', imageSizesRule)
  return load(IMAGE_WIDTHS).ok ? value : null
}

const issues = (value: unknown): string[] => {
  const loaded = load(value)
  return loaded.ok ? [] : loaded.issues.map(({ path, message }) => `${path} ${message}`)
}
const widths = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

describe('IMAGE_WIDTHS', () => {
  it.each([
    ['a list', [320, { width: 96, height: 96, fit: 'cover' }]],
    ['JSON', '[320, {"width": 96, "height": 96, "fit": "cover"}]'],
  ])('accepts widths and boxes, as %s', (_, value) => {
    expect(sizesOf(value)).toEqual([sizeOf(320), { width: 96, height: 96, fit: 'cover' }])
  })

  // @threat image-costs
  it('has 16 sizes without the variable, and at most', () => {
    expect(sizesOf(undefined)).toBeNull()
    expect(load(undefined).ok).toBe(true)
    expect(DEFAULT_IMAGE_SIZES).toHaveLength(16)
    expect(issues(widths(16))).toEqual([])
    expect(issues(widths(17))).toEqual(['IMAGE_WIDTHS must have at most 16 sizes'])
  })

  it.each([
    ['no size', [], /^IMAGE_WIDTHS /],
    ['a repeated width', [320, { width: 320, height: 9 }], /must not repeat a width/],
    ['a fit without a height', [{ width: 96, fit: 'cover' }], /needs a height for its fit/],
    ['an unknown fit', [{ width: 96, height: 96, fit: 'stretch' }], /^IMAGE_WIDTHS\.0\.fit /],
    ['an unknown member', [{ width: 96, quality: 5 }], /^IMAGE_WIDTHS\.0 has unknown members: 1/],
    ['a height of zero', [{ width: 96, height: 0 }], /^IMAGE_WIDTHS\.0\.height /],
    ['a width of zero', [0], /^IMAGE_WIDTHS\.0 /],
    ['a width over 4096', [4097], /^IMAGE_WIDTHS\.0 /],
    ['a fraction', [1.5], /^IMAGE_WIDTHS\.0 /],
    ['text instead of a number', ['320'], /^IMAGE_WIDTHS\.0 /],
    ['one number', 320, /^IMAGE_WIDTHS /],
    ['JSON that is broken', '[320', /^IMAGE_WIDTHS /],
  ])('refuses %s', (_, value, message) => {
    const found = issues(value)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(message)
  })
})
