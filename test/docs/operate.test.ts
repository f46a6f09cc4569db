import { expect, it } from 'vitest'
import { COMMANDS } from '../../cli/keys.ts'
import { codeBlocks, pagePaths, readPage } from './support/markdown.ts'

it('docs/operate.md names only existing commands of `npx edge-presigner keys`', () => {
  const page = readPage('docs/operate.md')
  const named = [...page.matchAll(/npx edge-presigner keys (\w+)/g)].map(([, name]) => name)
  expect(named.length).toBeGreaterThan(8)
  for (const name of named) expect(Object.keys(COMMANDS)).toContain(name)
  expect(page).not.toMatch(/npm run (?:keys|doctor|deploy)/)
})

it('the commands that call a Worker say which one', () => {
  const commands = pagePaths().flatMap((path) => {
    const text = readPage(path)
    const inText = [...text.matchAll(/`(npx edge-presigner [^`\n]+)`/g)].map(
      ([, code = '']) => code,
    )
    const lines = codeBlocks(text).flatMap(({ code }) => code.replaceAll('\\\n', ' ').split('\n'))
    return [...inText, ...lines].filter((line) =>
      /npx edge-presigner (?:upkeep|index|export|delete-all) ./.test(line),
    )
  })
  expect(commands.length).toBeGreaterThan(10)
  for (const command of commands) expect(command).toContain('--url ')
})

it.each(pagePaths())('%s sets API keys with push, which removes no key unnoticed', (path) => {
  expect(readPage(path)).not.toMatch(/secret put API_KEYS </)
})
