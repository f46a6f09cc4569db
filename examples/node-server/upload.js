export async function upload(file, token) {
  const mimetype = file.type || 'application/octet-stream'
  const response = await fetch('/uploads', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    body: JSON.stringify({ fileName: file.name, mimetype, size: file.size }),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.message)
  const { uploadUrl, headers, key } = answer
  const put = await fetch(uploadUrl, { method: 'PUT', headers, body: file })
  if (!put.ok) throw new Error(`The bucket answered with status ${put.status}.`)
  return key
}
