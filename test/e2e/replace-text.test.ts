import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { replaceText, textIfThere } from '../../cli/replace-text.ts'

const MODULE = join(import.meta.dirname, '../../cli/replace-text.ts')
let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
})
afterAll(() => rm(directory, { recursive: true }))

/** Replaces a text in a process that can only write files of a few hundred bytes. */
async function replaceOnFullDisk(file: string, before: string | undefined): Promise<string> {
  const program = `
    import { replaceText } from ${JSON.stringify(MODULE)}
    await replaceText(${JSON.stringify(file)}, ${JSON.stringify(before)}, 'new'.repeat(5000))
      .catch(({ message }) => console.log(message))`
  const node = `'${process.execPath}' --input-type=module-typescript -e "$PROGRAM"`
  const { stdout } = await promisify(execFile)('sh', ['-c', `ulimit -f 1; ${node}`], {
    env: { ...process.env, PROGRAM: program },
  })
  return stdout
}

it('keeps the text of a file, and leaves no new file, if the disk is full', async () => {
  const file = join(directory, 'secrets')
  await writeFile(file, 'the only copy')
  expect(await replaceOnFullDisk(file, 'the only copy')).toMatch(
    /can't be written: E\w+\. It stays/,
  )
  expect(await readFile(file, 'utf8')).toBe('the only copy')
  const missing = join(directory, 'missing')
  expect(await replaceOnFullDisk(missing, undefined)).toMatch(/can't be written/)
  expect(await readdir(directory)).toEqual(['secrets'])
  await rm(file)
})

it('writes a shorter text, a longer one, and through a symbolic link', async () => {
  const [file, link] = [join(directory, 'file'), join(directory, 'link')]
  await symlink(file, link)
  const texts = [undefined, 'one two', 'three', 'four five six', '']
  for (const [i, text = ''] of texts.slice(1).entries()) {
    await replaceText(i === 0 ? file : link, texts[i], text)
    expect(await textIfThere(file)).toBe(text)
  }
})

it.each([
  ['another text', 'theirs', 'mine'],
  ['a file', 'theirs', undefined],
  ['no file', undefined, 'mine'],
])('changes nothing if there is %s in the meantime', async (_, now, before) => {
  const file = join(directory, 'changed')
  await rm(file, { force: true })
  if (now !== undefined) await writeFile(file, now)
  await expect(replaceText(file, before, 'new')).rejects.toThrow('has changed in the meantime')
  expect(await textIfThere(file)).toBe(now)
})
