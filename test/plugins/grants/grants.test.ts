import { describe, expect, it } from 'vitest'
import { currently, grantFor, outcome, submit } from '../../support/grants.ts'
import { textOf } from '../../support/links.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()

describe('a grant', () => {
  it('dispenses a link for each use, and counts', async () => {
    const grant = await grantFor({ uses: 2, label: 'For you' })
    expect(grant.usesLeft).toBe(2)
    const page = await worker.fetch(grant.url, { headers: { Accept: 'text/html' } })
    console.error(await page.text())
    for (const left of [1, 0]) {
      const response = await submit(grant.url)
      expect(response.status).toBe(303)
      const link = await worker.fetch(response.headers.get('Location') ?? '')
      expect(await textOf(link)).toBe('a report')
      expect((await currently(grant)).usesLeft).toBe(left)
    }
    expect(await outcome(await submit(grant.url))).toBe('410 grant_ended')
  })
  it('checks password', async () => {
    const grant = await grantFor({ password: 'a' })
    expect(await outcome(await submit(grant.url))).toBe('403 password_wrong')
    expect(await outcome(await submit(grant.url, { password: 'b' }))).toBe('403 password_wrong')
    expect(await outcome(await submit(grant.url, { password: 'a' }))).toBe('303')
    const list = await worker.fetch('/grants?limit=1')
    console.error(await list.text())
  })
})
