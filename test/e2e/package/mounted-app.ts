import { randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { createTestHarness } from 'wrangler'
import { freePort } from '../../../cli/ports.ts'
import type { S3Server } from '../../../cli/s3-server.ts'
import { startS3rver } from '../../../cli/s3rver.ts'

export const PASSWORD = 'correct horse battery staple'

/** examples/mounted-app, running in workerd behind a real port. */
export interface MountedApp extends AsyncDisposable {
  /** `http://localhost:PORT` */
  readonly origin: string
  readonly signingSecrets: string
  readonly s3: S3Server
}

/** Bundles and starts the app in `folder` as its `npm run dev` does, with an empty bucket. */
export async function startMountedApp(folder: string): Promise<MountedApp> {
  await using stack = new AsyncDisposableStack()
  const s3Port = await freePort()
  const signingSecrets = `k1:${randomBytes(32).toString('hex')}`
  const harness = createTestHarness({
    root: folder,
    workers: [
      {
        configPath: 'wrangler.toml',
        vars: {
          S3_ENDPOINT: `http://127.0.0.1:${s3Port}`,
          S3_REGION: 'us-east-1',
          S3_BUCKET: 'files',
        },
        secrets: {
          S3_ACCESS_KEY_ID: 'S3RVER',
          S3_SECRET_ACCESS_KEY: 'S3RVER',
          S3_WRITE_ACCESS_KEY_ID: 'S3RVER',
          S3_WRITE_SECRET_ACCESS_KEY: 'S3RVER',
          SIGNING_SECRETS: signingSecrets,
          SESSION_SECRET: randomBytes(32).toString('hex'),
          PASSWORD,
        },
      },
    ],
  })
  stack.defer(() => harness.close())
  const { url } = await harness.listen()
  const origin = `http://localhost:${url.port}`
  const directory = await mkdtemp(join(folder, 's3-'))
  const s3 = await startS3rver({ port: s3Port, directory, corsOrigins: [origin] })
  stack.defer(() => s3.close())
  const all = stack.move()
  return { origin, signingSecrets, s3, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/** A minimal browser: sends JSON, and the app's cookie. */
export interface Session {
  fetch(method: string, path: string, body?: object): Promise<Response>
}

/** Logs `user` in to the app. */
export async function logIn(origin: string, user: string): Promise<Session> {
  let cookie = ''
  const session: Session = {
    fetch: (method, path, body) =>
      fetch(origin + path, {
        method,
        headers: {
          Origin: origin,
          ...(cookie && { Cookie: cookie }),
          ...(body && { 'Content-Type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
      }),
  }
  const { status, headers } = await session.fetch('POST', '/session', { user, password: PASSWORD })
  if (status !== 200) throw new Error(`The login answered with status ${status}.`)
  cookie = headers.getSetCookie()[0]?.split(';')[0] ?? ''
  return session
}
