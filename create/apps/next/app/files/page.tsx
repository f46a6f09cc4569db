import { Suspense } from 'react'
import { currentUser } from '../../lib/session'
import { FilesPage } from './files-page'

export default function Page() {
  return (
    <main>
      <h1>Files</h1>
      <Suspense>
        <UserFiles />
      </Suspense>
    </main>
  )
}

/** The files of the user who is logged in, which are not in the page that Next.js builds. */
async function UserFiles() {
  const user = await currentUser()
  return user ? <FilesPage key={user.id} user={user.id} /> : <p>Log in first.</p>
}
