import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startOnlyBucket } from '../../cli/only-bucket.ts'
import { freePort } from '../../cli/ports.ts'
import { settingsFromEnv } from '../../src/settings/from-env.ts'
import { createSigner, defineSettings } from '../../src/signer.ts'

let folder: string
let file: string
let port: number
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  file = join(folder, '.env.local')
  port = await freePort()
})
afterEach(() => rm(folder, { recursive: true }))

const start = () => startOnlyBucket({ file, port, data: join(folder, '.dev'), origins: [] })
const read = () => readFile(file, 'utf8')

/** Uploads with the settings of the file, and returns the URL of the object. */
async function upload(): Promise<string> {
  const signer = createSigner(defineSettings(settingsFromEnv(parseEnv(await read()))), {})
  const { uploadUrl, headers, key } = await signer.uploadUrl({
    fileName: 'a.txt',
    mimetype: 'text/plain',
  })
  const { status } = await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })
  expect(status).toBe(200)
  return (await signer.downloadUrl(key)).url
}

describe('the embedded bucket alone', () => {
  it('writes settings that an app can use, only for this user', async () => {
    const s3 = await start()
    expect(await (await fetch(await upload())).text()).toBe('hello')
    await s3.close()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readFile(join(folder, '.dev/.gitignore'), 'utf8')).toBe('*\n')
  })

  it('adds what the file lacks, and leaves the rest as it is', async () => {
    await writeFile(file, 'LINK_BASE=http://localhost:3000/api/media\nSIGNING_SECRETS=')
    await (await start()).close()
    const text = await read()
    expect(text).toMatch(/^LINK_BASE=http:.*\nSIGNING_SECRETS=\nS3_ENDPOINT=/)
    expect(parseEnv(text).SIGNING_SECRETS).toMatch(/^k1:.{43}$/)
  })

  it('has the same files and settings after another start', async () => {
    await (await start()).close()
    const before = await read()
    const s3 = await start()
    expect(await read()).toBe(before)
    const url = await upload()
    await s3.close()
    const again = await start()
    expect(await (await fetch(url)).text()).toBe('hello')
    await again.close()
  })

  it('refuses a file with the settings of another bucket, and does not change it', async () => {
    for (const text of [
      'S3_ENDPOINT=https://s3.us-east-1.amazonaws.com\nS3_BUCKET=acme-files\n',
      `S3_ENDPOINT=http://127.0.0.1:${port}\nS3_SECRET_ACCESS_KEY=own\n`,
      'S3_BUCKET=acme-files\n',
    ]) {
      await writeFile(file, text)
      await expect(start()).rejects.toThrow(/has the settings of another bucket.* remove S3_/)
      expect(await read()).toBe(text)
    }
  })

  it('refuses a file that git would commit', async () => {
    execFileSync('git', ['init', '--quiet'], { cwd: folder })
    await expect(start()).rejects.toThrow(
      'Add this line to the .gitignore of its folder: .env.local',
    )
    await writeFile(join(folder, '.gitignore'), '.env*\n')
    await (await start()).close()
  })

  it('refuses a link to a file that git would commit', async () => {
    execFileSync('git', ['init', '--quiet'], { cwd: folder })
    await writeFile(join(folder, '.gitignore'), '.env*\n')
    await writeFile(join(folder, 'shared.env'), '')
    await symlink('shared.env', file)
    await expect(start()).rejects.toThrow('of its folder: shared.env')
    expect(await readFile(join(folder, 'shared.env'), 'utf8')).toBe('')
  })

  it('refuses a file if git does not say whether it would commit it', async () => {
    execFileSync('git', ['init', '--quiet'], { cwd: folder })
    await writeFile(join(folder, '.gitignore'), '.env*\n')
    await writeFile(join(folder, '.git/config'), '[broken')
    await expect(start()).rejects.toThrow(/git can't say whether it ignores .*bad config/)
    await expect(readFile(file)).rejects.toThrow('ENOENT')
  })

  it('refuses what is no file of variables, and changes nothing', async () => {
    for (const [name, bytes] of [
      ['my-files', null],
      ['package.json', Buffer.from('{}')],
      ['.env', Buffer.from('{ "a": 1 }')],
      ['.env', Buffer.from('NAME=caf\xe9\n', 'latin1')],
    ] as const) {
      file = join(folder, name)
      if (bytes) await writeFile(file, bytes)
      await expect(start()).rejects.toThrow(
        /neither "env" nor "vars"|NAME=value|not a text in UTF-8/,
      )
      expect(await readFile(file).catch(() => null)).toEqual(bytes)
    }
    file = join(folder, 'missing/.env')
    await expect(start()).rejects.toThrow('its folder is missing')
  })

  it('keeps the mode of a file, and the .gitignore of a folder', async () => {
    await writeFile(file, '# mine\n', { mode: 0o640 })
    await writeFile(join(folder, '.gitignore'), 'node_modules\n')
    await (await startOnlyBucket({ file, port, data: folder, origins: [] })).close()
    expect((await stat(file)).mode & 0o777).toBe(0o640)
    expect(await readFile(join(folder, '.gitignore'), 'utf8')).toBe('node_modules\n')
  })
})
