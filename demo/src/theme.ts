import { find } from './find.ts'
import { keptText } from './storage.ts'

export type Theme = 'light' | 'dark'

/**
 * Connects the toggle. The system's theme applies until the user chooses one. Calls `onTheme` after
 * each change, and returns the first theme.
 */
export function createTheme(onTheme: (theme: Theme) => void): Theme {
  const button = find(document, '#theme-button', HTMLButtonElement)
  const symbol = find(button, 'use', SVGUseElement)
  const system = matchMedia('(prefers-color-scheme: dark)')
  const chosen = keptText(() => localStorage, 'theme') // public/theme.js reads it too
  const current = (): Theme => {
    const theme = chosen.get()
    if (theme === 'light' || theme === 'dark') return theme
    return system.matches ? 'dark' : 'light'
  }
  const apply = (): Theme => {
    const theme = current()
    if (chosen.get() !== '') document.documentElement.dataset.theme = theme
    button.setAttribute('aria-pressed', String(theme === 'dark'))
    symbol.setAttribute('href', theme === 'dark' ? '#icon-sun' : '#icon-moon')
    return theme
  }
  button.addEventListener('click', () => {
    chosen.set(current() === 'dark' ? 'light' : 'dark')
    onTheme(apply())
  })
  system.addEventListener('change', () => onTheme(apply()))
  return apply()
}
