import { expect, it } from 'vitest'
import type { Context } from './context.ts'
import { uploadText } from './upload-text.ts'

const counted = { bucket: 'counted' }

/** What a link shows, how many requests the bucket gets, and when the link stops working. */
export function linkRules(context: () => Context): void {
  it('serves a hundred requests, through older and newer links, with one request to the bucket', async () => {
    const { api, requestsFor } = context()
    const { key } = await uploadText(context(), { fileName: 'a.txt', text: 'pixels' })
    const lives = Array.from({ length: 20 }, (_, i) => 60 + i)
    const links = await Promise.all(lives.map((expiresIn) => api.link(key, { expiresIn }, counted)))
    expect(new Set(links).size).toBeGreaterThan(10) // Some links expire in the same second.
    const show = async (link: string) => {
      const response = await fetch(link)
      return [response.status, await response.text()]
    }
    const [first = '', ...others] = Array.from({ length: 5 }, () => links).flat()
    expect(await show(first)).toEqual([200, 'pixels'])
    expect(await Promise.all(others.map(show))).toEqual(others.map(() => [200, 'pixels']))
    expect(await requestsFor(key)).toBe(1)
  })

  it("sends an object's headers, and serves ranges from the copy", async () => {
    const { api, head, requestsFor } = context()
    const { key } = await uploadText(context(), { fileName: 'a.txt', text: '0123456789' })
    const link = await api.link(key, {}, counted)
    const whole = await fetch(link)
    expect(await whole.text()).toBe('0123456789')
    expect(whole.headers.get('ETag')).toBe((await head(key))?.ETag)
    const part = await fetch(link, { headers: { Range: 'bytes=2-4' } })
    expect(part.status).toBe(206)
    expect(part.headers.get('Content-Range')).toBe('bytes 2-4/10')
    expect(await part.text()).toBe('234')
    const etag = whole.headers.get('ETag') ?? ''
    expect((await fetch(link, { headers: { 'If-None-Match': etag } })).status).toBe(304)
    const headed = await fetch(link, { method: 'HEAD' })
    expect(headed.headers.get('Content-Length')).toBe('10')
    expect(await requestsFor(key)).toBe(1)
  })

  it('stops working when the file is deleted', async () => {
    const { api } = context()
    const { key } = await uploadText(context(), { fileName: 'a.txt', text: 'pixels' })
    const link = await api.link(key, {}, counted)
    expect(await (await fetch(link)).text()).toBe('pixels')
    await api.remove(key, counted)
    expect((await fetch(link)).status).toBe(404)
  })

  it('leads to the bucket itself with delivery redirect', async () => {
    const { api } = context()
    const { key } = await uploadText(context(), { fileName: 'a.txt', text: 'pixels' })
    const link = await api.link(key, { delivery: 'redirect', download: 'Grüße.txt' })
    const response = await fetch(link)
    expect(response.redirected).toBe(true)
    expect(await response.text()).toBe('pixels')
    expect(response.headers.get('Content-Disposition')).toContain("UTF-8''Gr%C3%BC%C3%9Fe.txt")
  })

  it('sends no request to the bucket for an invalid link', async () => {
    const { api, requestsFor } = context()
    const { key } = await uploadText(context(), { fileName: 'a.txt' })
    const link = await api.link(key, {}, counted)
    const other = link.endsWith('A') ? 'B' : 'A'
    for (const wrong of [
      `${link.slice(0, -1)}${other}`,
      `${link}&x=1`,
      link.replace('exp=', 'exp=1'),
    ])
      expect((await fetch(wrong)).status).toBe(403)
    expect(await requestsFor(key)).toBe(0)
  })

  it('answers 404 for a missing object', async () => {
    const response = await fetch(await context().api.link('nobody/has-this.txt'))
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'object_not_found' })
  })
}
