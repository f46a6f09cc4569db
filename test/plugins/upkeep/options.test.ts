import { describe, expect, it } from 'vitest'
import { upkeepRule } from '../../../src/plugins/upkeep/options.ts'
import { check } from '../../../src/settings/rules.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { fullVariables, paths } from '../../settings/variables.ts'

const DAY = 86_400

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
      ...{ mode: 'report', plan: 'free', expireSeconds: 30 * DAY },
      ...{ owner: null, buckets: null },
    })
  })

  it('keeps what is set', () => {
    const given = { mode: 'expire', plan: 'paid', expireUnconfirmed: 60, buckets: ['files'] }
    const owner = { owner: 'users/{owner}/', ownerAs: 'app:{owner}' }
    expect(read({ ...given, ...owner })).toEqual({
      ...{ mode: 'expire', plan: 'paid', expireSeconds: 60 * DAY, owner, buckets: ['files'] },
    })
    expect(read({ owner: '{owner}/' }).owner).toEqual({ owner: '{owner}/', ownerAs: '{owner}' })
  })

  it.each<readonly [string, object, RegExp]>([
    ['a mode that is unknown', { mode: 'delete' }, /^mode must be one of report, record, expire$/],
    ['a plan that is unknown', { plan: 'Paid' }, /^plan must be one of free, paid$/],
    ['fewer than 10 days', { mode: 'expire', expireUnconfirmed: 9 }, /^expireUnconfirmed .* 10 /],
    ['more than 3650 days', { mode: 'expire', expireUnconfirmed: 3651 }, /^expireUnconfirmed /],
    ['days in part', { mode: 'expire', expireUnconfirmed: 10.5 }, /^expireUnconfirmed /],
    ['days without the mode', { mode: 'record', expireUnconfirmed: 30 }, /mode = "expire"/],
    ['days with the default mode', { expireUnconfirmed: 30 }, /mode = "expire"/],
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
