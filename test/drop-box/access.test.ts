import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createAccess, type Visitor } from '../../drop-box/src/access.ts'

const MINUTE = 60_000
let bodies: unknown[] = []
let visitor: Visitor
let answer: () => Response

const session = (lifetime = 10 * MINUTE) =>
  Response.json({
    token: `epd_${bodies.length}`,
    expiresAt: new Date(Date.now() + lifetime).toISOString(),
    ...{ endpoint: 'https://files.example.com', bucket: 'files' },
  })

beforeEach(() => {
  vi.useFakeTimers()
  bodies = []
  visitor = { password: '', name: '', note: '' }
  answer = () => session()
  vi.stubGlobal('fetch', async (_: string, { body }: { body: string }) => {
    bodies.push(JSON.parse(body))
    return answer()
  })
})

afterEach(() => {
  vi.useRealTimers()
})

const access = () => createAccess('https://files.example.com/d/secret', () => visitor)

describe('the token of a visitor', () => {
  it('is asked for once, and again a minute before it ends', async () => {
    const open = access()
    const [one, two] = await Promise.all([open(), open()])
    expect([one.token, two.token]).toEqual(['epd_1', 'epd_1'])
    vi.setSystemTime(Date.now() + 8 * MINUTE)
    expect((await open()).token).toBe('epd_1')
    vi.setSystemTime(Date.now() + MINUTE)
    expect((await open()).token).toBe('epd_2')
    expect(bodies).toEqual([{}, {}])
  })

  it('is replaced if the API refuses it, and the clock is wrong', async () => {
    answer = () => session(-60 * MINUTE)
    const open = access()
    await open()
    expect((await open('epd_1')).token).toBe('epd_2')
    expect((await open('epd_1')).token).toBe('epd_2')
  })

  it('is for the name and the note that the visitor has written by now', async () => {
    const open = access()
    visitor = { password: 'p', name: 'Ann', note: '' }
    await open()
    visitor = { ...visitor, note: 'Hello' }
    expect((await open()).token).toBe('epd_2')
    expect(bodies).toEqual([
      { password: 'p', sender: { name: 'Ann', note: '' } },
      { password: 'p', sender: { name: 'Ann', note: 'Hello' } },
    ])
  })

  it('is asked for again after an error', async () => {
    const open = access()
    answer = () => Response.json({ code: 'password_wrong', message: 'x' }, { status: 403 })
    await expect(open()).rejects.toMatchObject({ code: 'password_wrong' })
    answer = () => session()
    expect((await open()).token).toBe('epd_2')
  })
})
