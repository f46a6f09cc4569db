/** The plain browser flow of the README, on the Worker's own origin. */
const form = document.querySelector('form')
const status = document.querySelector('[role=status]')
const figure = document.querySelector('figure')

async function call(path, body) {
  const token = form.elements.token.value.trim()
  const headers = token === '' ? {} : { Authorization: `Bearer ${token}` }
  if (body) headers['Content-Type'] = 'application/json'
  const method = body ? 'POST' : 'GET'
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) })
  const answer = await response.json()
  if (!response.ok) throw new Error(`${answer.code}: ${answer.message}`)
  return answer
}

async function upload(file) {
  const mimetype = file.type || 'application/octet-stream'
  const { uploadUrl, key } = await call('/files/upload-url', { fileName: file.name, mimetype })
  const headers = { 'Content-Type': mimetype }
  const put = await fetch(uploadUrl, { method: 'PUT', headers, body: file })
  if (!put.ok) throw new Error(`The bucket answered with status ${put.status}.`)
  const record = await call('/files', { key, name: file.name })
  const { url } = await call(`/files/${encodeURIComponent(key)}/url`)
  return { record, url }
}

function show({ record, url }) {
  const image = figure.querySelector('img')
  image.src = url
  image.alt = record.name
  image.hidden = !record.mimetype.startsWith('image/')
  const link = document.createElement('a')
  link.href = url
  link.textContent = record.key
  figure.querySelector('figcaption').replaceChildren(link, `, ${record.size} bytes`)
  figure.hidden = false
}

form.addEventListener('submit', (event) => event.preventDefault())
form.elements.file.addEventListener('change', async ({ target }) => {
  const [file] = target.files
  if (!file) return
  figure.hidden = true
  status.textContent = `Uploading ${file.name} …`
  try {
    show(await upload(file))
    status.textContent = `Uploaded ${file.name}.`
  } catch (error) {
    status.textContent = error instanceof Error ? error.message : String(error)
  }
})
