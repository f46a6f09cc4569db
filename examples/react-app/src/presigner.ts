import { createClient } from 'edge-presigner-client'
import { currentUser } from './current-user'
import { fileToken } from './file-token'

const baseUrl: string | undefined = import.meta.env.VITE_PRESIGNER_URL

/** Your Worker. Without the variable, the Worker of `edge-presigner dev`, which needs no token. */
export const presigner = baseUrl
  ? createClient({ baseUrl, token: fileToken, user: currentUser })
  : createClient({ baseUrl: 'http://localhost:8787', user: currentUser })
