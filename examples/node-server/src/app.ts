import {
  createSigner,
  defineSettings,
  isPresignerError,
  settingsFromEnv,
} from 'edge-presigner/signer'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'

// The name must be that of the app that serves the links.
const settings = defineSettings((env: NodeJS.ProcessEnv) => ({
  ...settingsFromEnv(env),
  name: 'media',
}))

/** Signs URLs for the logged-in user, without network requests. */
export function createApp(env: NodeJS.ProcessEnv): Express {
  const signer = createSigner(settings, env)
  const app = express()
  app.use(express.json(), whoIsIt(env))

  // The URL for the browser's upload, and the headers to send.
  app.post('/uploads', async ({ body }, response) => {
    const { fileName, mimetype, size } = body ?? {}
    const prefix = folderOf(response.locals.user)
    response.status(201).json(await signer.uploadUrl({ fileName, mimetype, size, prefix }))
  })

  // The file itself, for 15 minutes.
  app.get('/files/*key', mayRead, async (_, response) => {
    const { url } = await signer.downloadUrl(response.locals.key)
    response.set('Cache-Control', 'no-store').redirect(url)
  })

  // A link for an email, valid for at least a day. The app with the presigner serves it.
  app.post('/links/*key', mayRead, async (_, response) => {
    response.status(201).json(await signer.link(response.locals.key, { expiresIn: 86_400 }))
  })

  app.use(onError)
  return app
}

/** The login of this example: a token for each user. */
function whoIsIt(env: NodeJS.ProcessEnv): RequestHandler {
  const users = new Map<string, string>(Object.entries(JSON.parse(env.USERS ?? '{}')))
  return (request, response, next) => {
    const [, token = ''] = /^Bearer (\S+)$/.exec(request.get('Authorization') ?? '') ?? []
    response.locals.user = users.get(token)
    if (response.locals.user === undefined) response.status(401).json({ message: 'Log in first.' })
    else next()
  }
}

/** Encodes the user, since `ann/uploads` would be a folder inside Ann's. */
const folderOf = (user: string): string => `users/${encodeURIComponent(user)}/`

/** The signer signs any key, so the server must check who may read it. */
const mayRead: RequestHandler = ({ params }, response, next) => {
  const key = [params.key].flat().join('/')
  response.locals.key = key
  if (key.startsWith(folderOf(response.locals.user))) next()
  else response.status(403).json({ message: 'This file is not yours.' })
}

/** The signer refuses invalid requests, such as a type that the bucket doesn't accept. */
const onError: ErrorRequestHandler = (error, _, response, next) => {
  if (isPresignerError(error))
    response.status(400).json({ code: error.code, message: error.message })
  else next(error)
}
