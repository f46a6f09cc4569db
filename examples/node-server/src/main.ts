import { createApp } from './app.ts'

const port = Number(process.env.PORT ?? 3000)
createApp(process.env).listen(port, () => console.log(`http://localhost:${port}`))
