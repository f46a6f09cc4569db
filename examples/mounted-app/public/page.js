import { createClient } from '/presigner.js'

// The page's own origin, so the browser sends the session cookie automatically.
const media = createClient({ baseUrl: '/media' })

const find = (selector) => document.querySelector(selector)

async function session(method, body) {
  const response = await fetch('/session', {
    method,
    ...(body && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.message)
  return answer.user
}

/** Shows the photos of `user`, or the login form if it is null. */
async function show(user) {
  find('form').hidden = user !== null
  find('main').hidden = user === null
  find('section').replaceChildren()
  if (user === null) return
  const { files } = await media.list({ limit: 50 })
  if (files.length === 0) return
  const { links } = await media.links(files.map(({ key }) => key))
  const images = links.map(({ link }, index) =>
    Object.assign(new Image(), { src: link, alt: files[index].name }),
  )
  find('section').replaceChildren(...images)
}

async function upload(files) {
  const progress = find('progress')
  progress.hidden = false
  try {
    for (const file of files)
      await media.upload(file, {
        onProgress: ({ loaded, total, stalled }) => {
          progress.value = loaded / (total || 1)
          find('[role=alert]').textContent = stalled?.message ?? '' // why the upload waits
        },
      })
  } finally {
    progress.hidden = true
  }
  await show(await session('GET'))
}

/** Runs `action`, and shows its error. */
const tell = (action) => async (event) => {
  event?.preventDefault()
  find('[role=alert]').textContent = ''
  try {
    await action(event)
  } catch (error) {
    find('[role=alert]').textContent = error.message
  }
}

find('form').onsubmit = tell(async ({ target }) =>
  show(await session('POST', Object.fromEntries(new FormData(target)))),
)
find('header button').onclick = tell(async () => show(await session('DELETE')))
find('[type=file]').onchange = tell(({ target }) => upload(target.files))
await tell(async () => show(await session('GET')))()
