export type AppKind = 'client' | 'react' | 'curl'

/** Returns the lines that use the Worker at `origin`. `isOpen` tells that it needs no token. */
export function linesFor(kind: AppKind, origin: string, isOpen: boolean): string {
  if (kind === 'curl') {
    const header = isOpen ? '' : ' \\\n  -H "Authorization: Bearer $TOKEN"'
    return `# Returns a key, and the uploadUrl for a PUT with the bytes
curl -sS '${origin}/files/upload-url'${header} \\
  -H 'Content-Type: application/json' \\
  -d '{"fileName": "photo.jpg", "mimetype": "image/jpeg"}'

# Lists the newest files
curl -sS '${origin}/files?limit=10'${header}`
  }
  const token = isOpen ? '' : "import { fileToken } from './file-token.js'\n"
  const options = `baseUrl: '${origin}'${isOpen ? '' : ', token: fileToken'}`
  const client = `const presigner = createClient({ ${options} })`
  if (kind === 'client')
    return `import { createClient } from 'edge-presigner-client'
${token}
${client}
document.querySelector('input[type=file]').onchange = async (event) => {
  const { key } = await presigner.upload(event.target.files[0])
  const { link } = await presigner.link(key, { width: 640, fallback: 'original' })
  document.querySelector('img').src = link
}`
  return `import { createClient } from 'edge-presigner-client'
import { useFiles, useUpload } from 'edge-presigner-client/react'
${token}
${client}
const links = { width: 640, fallback: 'original' }

export function Files() {
  const { add } = useUpload(presigner)
  const { files } = useFiles(presigner, { links })
  return <>
    <input type="file" multiple onChange={(e) => add(e.target.files)} />
    {files.map((file) => <img key={file.key} src={file.link} alt={file.name} />)}
  </>
}`
}
