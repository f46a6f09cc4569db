/**
 * `npm run create -- FOLDER` packs edge-presigner and its client, and creates a project that uses these
 * files, or with `--app` adds them to an app, as long as the packages are not on npm. Asks nothing, so that it also works without a terminal.
 */
import { existsSync, statSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readAnswers, readFlags, UsageError } from '../../create/src/answers.ts'
import { readApp, writeApp } from '../../create/src/app.ts'
import { projectFiles } from '../../create/src/files.ts'
import { folderError, summary, writeNew } from '../../create/src/project.ts'
import { VERSIONS } from '../../create/src/versions.ts'
import { npm, npmInTerminal } from './npm.ts'

const ROOT = join(import.meta.dirname, '../..')
/** The folder of the project that has the packed files. */
const PACKED = 'packages'

/** Resolves with the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const packed = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  try {
    const flags = readFlags(args)
    const app = await readApp(flags, null)
    if (app) {
      await packBoth(packed)
      const text = await writeApp(app)
      const names = await copyPacked(packed, app.folder)
      console.log(text.replace('edge-presigner edge-presigner-client', names.join(' ')))
      return 0
    }
    const answers = await readAnswers({ ...flags, yes: true }, null, folderError)
    await packBoth(packed)
    const files = new Map(projectFiles(answers))
    const names = (await readdir(packed)).toSorted()
    files.set('package.json', withPacked(files.get('package.json') ?? '', `${PACKED}/${names[0]}`))
    await writeNew(answers.folder, files)
    await copyPacked(packed, answers.folder)

    const code = await npmInTerminal(['install', '--no-audit', '--no-fund'], answers.folder)
    console.log(`\n${summary(answers, { isInstalled: code === 0 })}`)
    console.log(`\nFor your apps, ${join(answers.folder, PACKED)} has ${names.join(' and ')}.`)
    return code
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(
      `${error.message}\nUsage: npm run create -- FOLDER. create/README.md has options.`,
    )
    return 1
  } finally {
    await rm(packed, { recursive: true })
  }
}

async function packBoth(folder: string): Promise<void> {
  console.log('Packing edge-presigner and edge-presigner-client.')
  for (const workspace of [[], ['-w', 'client']])
    await npm(['pack', '--silent', '--pack-destination', folder, ...workspace], ROOT)
}

/** Copies the packed files to an app or a project. Resolves with their paths in it. */
async function copyPacked(packed: string, folder: string): Promise<readonly string[]> {
  const place = join(folder, PACKED)
  if (existsSync(place) && !statSync(place).isDirectory())
    throw new UsageError(`${place} is a file, and should be a folder for the packed files.`)
  await mkdir(place, { recursive: true })
  await cp(packed, place, { recursive: true })
  // With `./`, because npm takes `packages/name` for a repository of GitHub.
  return (await readdir(packed)).toSorted().map((name) => `./${PACKED}/${name}`)
}

/** Returns package.json with edge-presigner from a file of the project. */
const withPacked = (manifest: string, path: string): string =>
  manifest.replace(`"^${VERSIONS.presigner}"`, `"file:${path}"`)

// npm runs scripts in the clone. The user may be in another folder.
process.chdir(process.env.INIT_CWD ?? '.')
process.exitCode = await main(process.argv.slice(2))
