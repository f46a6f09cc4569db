// Runs before the first paint, so that a theme that was chosen in an earlier visit doesn't flash: src/theme.ts keeps it.
try {
  const theme = localStorage.getItem('theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // without storage the system's theme it is
}
