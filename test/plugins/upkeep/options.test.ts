import { describe, expect, it } from 'vitest'
import { upkeepRule } from '../../../src/plugins/upkeep/options.ts'
import { check } from '../../../src/settings/rules.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { fullVariables, paths } from '../../settings/variables.ts'

const read = (given: unknown) => {
  const result = check(upkeepRule(null), given)
  if (!result.ok) throw new Error(JSON.stringify(result.issues))
  return result.value
}

const issueOf = (given: unknown) => {
  const result = check(upkeepRule(null), given)
  return result.ok ? null : result.issues.map(({ path, message }) => `${path} ${message}`.trim())
}

describe('UPKEEP', () => {
  it('only reports, on the free plan and in all buckets, by default', () => {
    expect(read({})).toEqual({
      ...{ mode: 'report', plan: 'free', owner: null, buckets: null },
    })
  })

  it('keeps what is set', () => {
    const given = { mode: 'record', plan: 'paid', buckets: ['files'] } as const
    const owner = { owner: 'users/{owner}/', ownerAs: 'app:{owner}' }
    expect(read({ ...given, ...owner })).toEqual({ ...given, owner })
    expect(read({ owner: '{owner}/' }).owner).toEqual({ owner: '{owner}/', ownerAs: '{owner}' })
  })

  it.each<readonly [string, object, RegExp]>([
    ['a mode that is unknown', { mode: 'delete' }, /^mode must be one of report, record$/],
    ['a plan that is unknown', { plan: 'Paid' }, /^plan must be one of free, paid$/],
    ['days after which files expire', { expireUnconfirmed: 30 }, /unknown members/],
    ['an owner without a placeholder', { owner: 'users/' }, /^owner must have \{owner\}/],
    ['an owner in part of a segment', { owner: 'u-{owner}/' }, /^owner must have \{owner\}/],
    ['two owners', { owner: '{owner}/{owner}/' }, /^owner must have \{owner\}/],
    ['another placeholder', { owner: '{owner}/{day}/' }, /^owner must have \{owner\}/],
    ['an owner without a slash', { owner: 'users/{owner}' }, /^owner A prefix must/],
    ['dot segments', { owner: '../{owner}/' }, /^owner A prefix must/],
    ['an id without a placeholder', { owner: '{owner}/', ownerAs: 'app:1' }, /^ownerAs must/],
    ['an id that no principal has', { owner: '{owner}/', ownerAs: '\n{owner}' }, /^ownerAs must/],
    ['an id without an owner', { ownerAs: 'app:{owner}' }, /needs owner/],
    ['no bucket', { buckets: [] }, /^buckets must not be empty$/],
    ['a member that is unknown', { modes: 'record' }, /unknown members/],
  ])('refuses %s', (_, given, issue) => {
    expect(issueOf(given)).toEqual([expect.stringMatching(issue)])
  })

  it('is a variable of the Worker, whose buckets must exist', () => {
    expect(loadEnvironment({ ...fullVariables(), UPKEEP: { buckets: ['archive'] } }).ok).toBe(true)
    expect(paths({ UPKEEP: '{"mode":"off"}' })).toEqual(['UPKEEP.mode'])
    expect(paths({ UPKEEP: { buckets: ['archives'] } })).toEqual(['UPKEEP.buckets.0'])
  })
})
