/** From this many items on, only those near the screen are laid out and painted. */
const MANY = 500
/** What is ready above and below the screen, in pixels. */
const MARGIN = 1500
/** The window moves by this many rows. */
const STEP = 4

/** Keeps a list of thousands of items fast. All of them stay in the document, in their order. */
export interface LongList {
  /** Looks at the items again, after some came, went or were hidden. */
  update(): void
  /** Scrolls to an item that is far away, so that it can have the focus. */
  reveal(item: HTMLElement): void
}

/** Shows the items of a grid whose rows are all equally high. Far ones have the class `is-far`. */
export function createLongList(list: HTMLElement): LongList {
  let items: readonly HTMLElement[] = []
  let near: ReadonlySet<HTMLElement> = new Set()
  let isLong = false
  let isPlanned = false
  /** What `measure` has found, until the size of the list changes: it takes a layout. */
  let grid: ReturnType<typeof measure> | undefined
  /** Which rows are near, and how they are laid out. Most frames of a scroll change nothing. */
  let place = ''

  /** Measures the grid. Only near items have a height. */
  function measure() {
    const { gridTemplateColumns, rowGap } = getComputedStyle(list)
    const first =
      [...near].find(isShown) ?? items.find((item) => !item.classList.contains('is-far'))
    const height = first?.getBoundingClientRect().height ?? 0
    const columns = gridTemplateColumns.split(' ').length
    return { columns, rowHeight: height + (Number.parseFloat(rowGap) || 0) }
  }

  function show(): void {
    isPlanned = false
    if (!isLong) return
    grid ??= measure()
    const { columns, rowHeight } = grid
    if (rowHeight === 0) {
      grid = undefined // the list is not shown
      return
    }
    const { top } = list.getBoundingClientRect()
    const rows = Math.ceil(items.length / columns)
    const steps = (pixels: number) => Math.max(0, Math.min(rows, pixels / rowHeight)) / STEP
    const lastStart = Math.floor(Math.max(0, rows - 1) / STEP) * STEP
    const first = Math.min(lastStart, Math.floor(steps(-top - MARGIN)) * STEP)
    const end = Math.ceil(steps(innerHeight - top + MARGIN)) * STEP
    const last = Math.min(rows, Math.max(first + STEP, end))
    const shownPlace = place
    place = [first, last, columns, rowHeight].join()
    if (place === shownPlace) return
    const start = first * columns
    const shown = new Set(items.slice(start, last * columns))
    for (const item of near) if (!shown.has(item)) item.classList.add('is-far')
    near = shown
    for (const [index, item] of [...near].entries()) {
      item.classList.remove('is-far')
      item.ariaPosInSet = `${start + index + 1}`
      item.ariaSetSize = `${items.length}`
    }
    list.style.paddingTop = `${first * rowHeight}px`
    list.style.paddingBottom = `${(rows - last) * rowHeight}px`
  }
  const plan = () => {
    if (isLong && !isPlanned) requestAnimationFrame(show)
    isPlanned ||= isLong
  }
  addEventListener('scroll', plan, { passive: true })
  new ResizeObserver(() => {
    grid = undefined
    plan()
  }).observe(list)

  return {
    update() {
      // A filtered list doesn't show the places of uploads.
      const isOut = list.classList.contains('is-filtered') ? '[hidden], .place' : '[hidden]'
      const all = [...list.children].filter((item) => item instanceof HTMLElement)
      items = all.filter((item) => !item.matches(isOut))
      grid = undefined
      place = ''
      const wasLong = isLong
      isLong = items.length > MANY
      list.classList.toggle('is-long', isLong)
      if (isLong) {
        // Measures at once only what has no height yet, because that takes another layout.
        if ([...near].some(isShown)) plan()
        else show()
        for (const item of items)
          if (!near.has(item) && !item.classList.contains('is-far')) item.classList.add('is-far')
        return
      }
      if (!wasLong) return
      near = new Set()
      list.style.padding = ''
      for (const item of all) {
        item.classList.remove('is-far')
        item.ariaPosInSet = null
        item.ariaSetSize = null
      }
    },
    reveal(item) {
      const index = items.indexOf(item)
      if (!isLong || index === -1 || !item.classList.contains('is-far')) return
      const { columns, rowHeight } = measure()
      const top = list.getBoundingClientRect().top + Math.floor(index / columns) * rowHeight
      scrollBy(0, top - innerHeight / 2)
      show()
    },
  }
}

const isShown = ({ isConnected, hidden }: HTMLElement): boolean => isConnected && !hidden
