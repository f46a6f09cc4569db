import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { urlPath } from './url-path.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Returns the digest of the names and contents of `sources`: files and folders of the repository. */
export async function digestOf(sources: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const source of sources)
    for (const path of await filesUnder(join(ROOT, source)))
      for (const content of await readIfPresent(path))
        hash.update(`${urlPath(ROOT, path)} ${content.length}\n`).update(content)
  return hash.digest('hex')
}

/**
 * Returns the files under `path` in a fixed order: `path` itself if it is a file, none if it is
 * missing.
 */
export async function filesUnder(path: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(path, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort()
  } catch (error) {
    if (hasCode(error, 'ENOTDIR')) return [path]
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

/** Returns the content of a file, or nothing if the file is missing. */
export async function readIfPresent(path: string): Promise<readonly Buffer[]> {
  try {
    return [await readFile(path)]
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

/** Writes files below `folder`, one by one. A rename replaces each file atomically for its readers. */
export async function writeFiles(
  folder: string,
  files: Iterable<readonly [string, string | Uint8Array]>,
): Promise<void> {
  await mkdir(join(ROOT, '.wrangler'), { recursive: true })
  const drafts = await mkdtemp(join(ROOT, '.wrangler', 'built-'))
  for (const [name, content] of files) {
    const path = join(folder, name)
    const draft = join(drafts, 'draft')
    await writeFile(draft, content)
    await mkdir(dirname(path), { recursive: true })
    await rename(draft, path)
  }
  await rm(drafts, { recursive: true })
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
