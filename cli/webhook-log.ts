/*
 * Added to the entry of the Worker under `dev` with webhooks. The deployed Worker logs only webhooks that
 * fail. This one logs each attempt, for `shownLines` in worker-output.ts.
 */
export {}

const send = globalThis.fetch

globalThis.fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
  const { url, headers } = new Request(input, init)
  if (!headers.has('webhook-id')) return send(input, init)
  const { type }: { type?: unknown } = JSON.parse(String(init?.body))
  const attempt = { webhook: type, endpoint: new URL(url).host }
  try {
    const response = await send(input, init)
    console.log(JSON.stringify({ ...attempt, status: response.status }))
    return response
  } catch (error) {
    console.log(JSON.stringify({ ...attempt, status: 'no response' }))
    throw error
  }
}
