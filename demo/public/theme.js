// Runs before the first paint, so that the page doesn't flash in the other theme. src/theme.ts
// stores the choice.
try {
  const theme = localStorage.getItem('theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // Without storage, the page uses the system's theme.
}
