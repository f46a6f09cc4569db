import { createClient } from '/presigner.js'

let currentUser = null

// The page's own origin, so the browser sends the session cookie automatically.
const media = createClient({ baseUrl: '/media', user: () => currentUser })

// Pictures of 320 and 1280 pixels, without the place of the photo. Any other file as it is.
const LINKS = { widths: [320, 1280], fallback: 'original' }

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

/** Returns a link to a file, with its picture or its name. */
function tile({ name, mimetype }, { link, srcset }) {
  const anchor = Object.assign(document.createElement('a'), { href: link, textContent: name })
  if (mimetype.startsWith('image/')) {
    const image = Object.assign(new Image(), { srcset, sizes: '10rem', src: link, alt: name })
    image.onerror = () => image.replaceWith(name) // the browser can't show it
    anchor.replaceChildren(image)
  }
  return anchor
}

/** Shows the files of `user`, or the login form if it is null. */
async function show(user) {
  currentUser = user
  find('form').hidden = user !== null
  find('main').hidden = user === null
  find('section').replaceChildren()
  if (user === null) return
  const { files } = await media.list({ limit: 50 })
  if (files.length === 0) return
  const keys = files.map(({ key }) => key)
  const { links } = await media.links(keys, LINKS)
  find('section').replaceChildren(...files.map((file, index) => tile(file, links[index])))
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
find('header button').onclick = tell(async () => {
  media.end() // stops the uploads of this user
  await show(await session('DELETE'))
})
find('[type=file]').onchange = tell(({ target }) => upload(target.files))
await tell(async () => show(await session('GET')))()
