import { mintFileToken } from '@/lib/mint-file-token'
import { currentUser } from '@/lib/session' // your own: the user who is logged in, or null

export async function POST(): Promise<Response> {
  const user = await currentUser()
  if (!user?.id) return Response.json({ message: 'Log in first.' }, { status: 401 })
  const token = await mintFileToken(user.id)
  return Response.json({ token }, { headers: { 'Cache-Control': 'no-store' } })
}
