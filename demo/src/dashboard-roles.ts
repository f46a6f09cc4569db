/**
 * Uppy's list of files lacks its role where one file is in it, and screen readers lose the item.
 */
export function completeRoles(dashboard: HTMLElement): void {
  const complete = () =>
    dashboard.querySelector('.uppy-Dashboard-files:not([role])')?.setAttribute('role', 'list')
  new MutationObserver(complete).observe(dashboard, { childList: true, subtree: true })
}
