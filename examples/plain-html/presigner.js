import { currentUser } from './current-user.js'
import { createClient } from './edge-presigner-client.js'

export const presigner = createClient({ baseUrl: 'http://localhost:8787', user: currentUser })
