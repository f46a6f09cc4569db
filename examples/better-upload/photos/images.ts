import { createClient } from 'edge-presigner-client'
import { currentUser } from './current-user'

export const images = createClient({ baseUrl: '/api/media', bucket: 'images', user: currentUser })
