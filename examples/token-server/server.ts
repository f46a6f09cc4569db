import express from 'express'
import { mintFileToken } from './mint-file-token.ts'
import { currentUser } from './session.ts' // your own: the user of a request, or null

const app = express()
app.use(express.static('public'))

app.post('/api/file-token', async (request, response, next) => {
  try {
    const user = await currentUser(request)
    response.set('Cache-Control', 'no-store')
    if (!user?.id) response.status(401).json({ message: 'Log in first.' })
    else response.json({ token: await mintFileToken(user.id) })
  } catch (cause) {
    // Express would answer with the status of a PresignerError, such as 401 for a wrong API key.
    next(new Error('No token from the Worker', { cause }))
  }
})

const port = Number(process.env.PORT ?? 3000)
app.listen(port, () => console.log(`http://localhost:${port}`))
