import { execFile } from 'node:child_process'
import { type FileHandle, open, readFile, realpath, rm } from 'node:fs/promises'
import { basename, dirname, resolve as resolvePath } from 'node:path'
import { UsageError } from './command.ts'

/** Returns the text of a file, or undefined if it is missing. Throws UsageError if it can't be read, or has other bytes than text. */
export async function textIfThere(file: string): Promise<string | undefined> {
  try {
    return UTF_8.decode(await readFile(file))
  } catch (error) {
    // Written again, it would lose these bytes.
    if (error instanceof TypeError) throw new UsageError(`${file} is not a text in UTF-8.`)
    const code = systemCode(error)
    if (code === 'ENOENT') return undefined
    throw new UsageError(`${file} can't be read: ${code}.`)
  }
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Throws UsageError if a file no longer has this text. */
export async function requireText(file: string, text: string | undefined): Promise<void> {
  if ((await textIfThere(file)) !== text) throw changed(file)
}

/** Throws UsageError if git would commit a file with a secret, or the file that a symbolic link leads to. */
export async function requireIgnored(file: string): Promise<void> {
  const real = await realpath(file).catch(() => file)
  for (const name of new Set([file, real])) await requireIgnoredHere(name)
}

async function requireIgnoredHere(file: string): Promise<void> {
  // In the folder of the file, which may be in another repository.
  const options = { cwd: dirname(resolvePath(file)), env: { ...process.env, LC_ALL: 'C' } }
  const args = ['check-ignore', '--quiet', '--', basename(file)]
  const { code, said } = await new Promise<{ code: unknown; said: string }>((resolve) => {
    execFile('git', args, options, (error, _, said) => resolve({ code: error?.code, said }))
  })
  if (code === 1)
    throw new UsageError(
      `git does not ignore ${file}, which gets a secret. Add this line to the .gitignore of its folder: ${basename(file)}. If git has the file already, also run: git rm --cached ${file}`,
    )
  // Without a repository, or without git, nobody commits the file by accident.
  if (code === 128 && !said.includes('not a git repository'))
    throw new UsageError(`git can't say whether it ignores ${file}: ${said.trim().split('\n')[0]}`)
}

/**
 * Replaces the text `before` of a file, or creates it if that is undefined. Throws UsageError if the file
 * has another text by now, or can't be written. It then still has what it had: a full disk must not cost
 * the only copy of a secret. There is no temporary file, since git might not ignore its name.
 */
export async function replaceText(
  file: string,
  before: string | undefined,
  text: string,
  mode?: number,
): Promise<void> {
  try {
    if (before === undefined) await create(file, text, mode)
    else await overwrite(file, before, text, mode)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' && before === undefined)
      throw new UsageError(`${file} can't be written: its folder is missing.`)
    if (code === 'EEXIST' || code === 'ENOENT') throw changed(file)
    throw new UsageError(`${file} can't be written: ${code}. It stays as it was.`)
  }
}

async function create(file: string, text: string, mode?: number): Promise<void> {
  const handle = await open(file, 'wx', mode)
  try {
    await put(handle, text)
  } catch (error) {
    await rm(file)
    throw error
  } finally {
    await handle.close()
  }
}

async function overwrite(file: string, before: string, text: string, mode?: number): Promise<void> {
  const handle = await open(file, 'r+')
  try {
    if (UTF_8.decode(await handle.readFile()) !== before) throw changed(file)
    if (mode !== undefined) await handle.chmod(mode)
    try {
      await put(handle, text)
    } catch (error) {
      await put(handle, before) // has its space still, since nothing was cut off
      throw error
    }
  } finally {
    await handle.close()
  }
}

/** Writes over what a file has, and then cuts off the rest. */
async function put(handle: FileHandle, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; )
    at += (await handle.write(bytes, at, bytes.length - at, at)).bytesWritten
  await handle.truncate(bytes.length)
}

const changed = (file: string): UsageError =>
  new UsageError(`${file} has changed in the meantime. It stays as it is now.`)

/** Returns the code of a system error, such as `ENOSPC`. Throws any other error. */
function systemCode(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code)
  throw error
}
