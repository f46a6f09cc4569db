/**
 * Returns the first element in `root` that matches `selector`. Throws if it is missing or has
 * another type.
 */
export function find<T extends Element>(root: ParentNode, selector: string, type: new () => T): T {
  const found = root.querySelector(selector)
  if (found instanceof type) return found
  throw new Error(`There is no ${type.name} ${selector}`)
}
