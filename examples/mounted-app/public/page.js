import { createClient } from '/presigner.js'

// The page's own origin: the browser sends the session's cookie by itself.
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

async function show(user) {
  find('#login').hidden = user !== null
  find('main').hidden = user === null
  find('#gallery').replaceChildren()
  if (user === null) return
  const { files } = await media.list({ limit: 50 })
  if (files.length === 0) return
  const { links } = await media.links(files.map(({ key }) => key))
  for (const [index, { link }] of links.entries()) {
    const image = new Image()
    image.alt = files[index].name
    image.src = link
    find('#gallery').append(image)
  }
}

async function upload(files) {
  for (const file of files)
    await media.upload(file, {
      onProgress: ({ loaded, total }) => {
        find('progress').value = loaded / total
      },
    })
  await show(await session('GET'))
}

/** Lets people know when something fails. */
const tell = (action) => (event) => {
  event?.preventDefault()
  find('[role=alert]').textContent = ''
  action(event).catch((error) => {
    find('[role=alert]').textContent = error.message
  })
}

find('#login').onsubmit = tell(async ({ target }) =>
  show(await session('POST', Object.fromEntries(new FormData(target)))),
)
find('#logout').onclick = tell(async () => show(await session('DELETE')))
find('[type=file]').onchange = tell(({ target }) => upload(target.files))
tell(async () => show(await session('GET')))()
