import { createServer, request, type Server } from 'node:http'
import { buffer } from 'node:stream/consumers'

/**
 * A proxy in front of Ceph RGW that adds what RGW lacks. RGW on SQLite loses parts that arrive at
 * the same time, so the proxy passes on one writing request at a time. RGW's response to a form has
 * no `ETag` and no `Location`, which AWS S3 sends and older versions of Uppy need. The Host header
 * stays, so that signatures stay valid.
 */
export function bucketFront(bucketPort: number): Server {
  let written: Promise<unknown> = Promise.resolve()
  return createServer(async (incoming, outgoing) => {
    // A page that cancels an upload goes away in the middle.
    const sent = await buffer(incoming).catch(() => null)
    if (sent === null) return
    const { method, url, headers } = incoming
    const pass = () =>
      new Promise<void>((resolve) => {
        outgoing.once('close', resolve)
        const passed = request(
          { host: '127.0.0.1', port: bucketPort, path: url, method, headers, agent: false },
          async (answer) => {
            const body = await buffer(answer).catch(() => null)
            if (body === null) {
              outgoing.destroy()
              return
            }
            const isForm = headers['content-type']?.startsWith('multipart/form-data')
            const added = isForm ? headersOfForm(body.toString(), headers.host) : {}
            outgoing.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...added })
            outgoing.end(body)
          },
        )
        passed.on('error', () => outgoing.destroy())
        passed.end(sent)
      })
    if (method === 'PUT' || method === 'POST') written = written.then(pass)
    else await pass()
  })
}

/** The content of S3's PostResponse as headers. AWS also escapes the slashes of the key. */
function headersOfForm(xml: string, host = ''): Record<string, string> {
  const [etag, bucket, key] = ['ETag', 'Bucket', 'Key'].map(
    (name) => new RegExp(`<${name}>(.*)</${name}>`).exec(xml)?.[1] ?? '',
  )
  if (!etag || !bucket || !key) return {}
  return {
    ETag: etag.replaceAll('&quot;', '"'),
    Location: `http://${host}/${bucket}/${encodeURIComponent(key)}`,
  }
}
