import { createServer, type Server } from 'node:http'
import { json } from 'node:stream/consumers'

/** Functions that another process calls, with JSON as argument and result. */
type Functions = {
  readonly [name: string]: (argument: never) => Promise<unknown>
}

/** Answers `POST /NAME` with the result of a function. The body is a list with its argument. */
export const serveCalls = <T extends object>(functions: T): Server =>
  createServer(async (request, response) => {
    const call = Object.entries(functions as Functions).find(
      ([name]) => `/${name}` === request.url,
    )?.[1]
    try {
      if (call === undefined) throw new Error(`There is no ${request.url}`)
      const [argument] = (await json(request)) as [never]
      const result: unknown = await call(argument)
      response.end(JSON.stringify(result ?? null))
    } catch (error) {
      response.writeHead(500).end(error instanceof Error ? error.stack : String(error))
    }
  })

/** Calls a function of a server at `address`. */
export async function callAt(address: string, name: string, args: unknown): Promise<unknown> {
  const response = await fetch(`${address}/${name}`, {
    method: 'POST',
    body: JSON.stringify(args),
  })
  if (!response.ok) throw new Error(`${name} failed: ${await response.text()}`)
  return response.json()
}
