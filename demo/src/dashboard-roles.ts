/**
 * Adds the role that Uppy's list lacks when it has only one file. Without it, screen readers skip
 * the item.
 */
export function completeRoles(dashboard: HTMLElement): void {
  const complete = () =>
    dashboard.querySelector('.uppy-Dashboard-files:not([role])')?.setAttribute('role', 'list')
  new MutationObserver(complete).observe(dashboard, { childList: true, subtree: true })
}
