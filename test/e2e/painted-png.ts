import { colourPng } from './small-png.ts'

type Colour = readonly [red: number, green: number, blue: number]

/**
 * An image as a function of the position: x from 0 to the ratio of the sides, y from 0 at the top
 * to 1.
 */
type Painting = (x: number, y: number) => Colour

const HEIGHT = 360
const WIDTH = 480
const RATIO = WIDTH / HEIGHT

const hex = (text: string): Colour => [
  Number.parseInt(text.slice(0, 2), 16),
  Number.parseInt(text.slice(2, 4), 16),
  Number.parseInt(text.slice(4, 6), 16),
]

const mix = ([r, g, b]: Colour, [red, green, blue]: Colour, share: number): Colour => {
  const t = Math.min(1, Math.max(0, share))
  return [r + (red - r) * t, g + (green - g) * t, b + (blue - b) * t]
}

/** Returns a color from a gradient, from the first at 0 to the last at 1. */
function ramp(colours: readonly Colour[], at: number): Colour {
  const position = Math.min(0.9999, Math.max(0, at)) * (colours.length - 1)
  const index = Math.floor(position)
  const from = colours[index] ?? [0, 0, 0]
  return mix(from, colours[index + 1] ?? from, position - index)
}

const palette = (...texts: readonly string[]): readonly Colour[] => texts.map(hex)

/** Returns 0 outside a disc and 1 inside, with a soft edge. */
const disc = (x: number, y: number, cx: number, cy: number, radius: number): number =>
  (radius - Math.hypot(x - cx, y - cy)) * HEIGHT + 0.5

const ridge = (x: number, seed: number): number =>
  0.5 * Math.sin(2.1 * x + seed) +
  0.3 * Math.sin(4.7 * x + 2 * seed) +
  0.12 * Math.sin(13 * x + seed)

/** Hills before a sky with a sun. */
function hills(
  sky: readonly Colour[],
  ground: readonly Colour[],
  sun: Colour,
  sunX: number,
): Painting {
  return (x, y) => {
    let colour = mix(ramp(sky, y / 0.75), sun, 0.5 * (1 - Math.hypot(x - sunX, y - 0.42) / 0.5))
    colour = mix(colour, sun, disc(x, y, sunX, 0.42, 0.11))
    for (const [index, tone] of ground.entries()) {
      const line =
        0.52 + index * 0.13 + 0.09 * ridge(x * (1 + 0.15 * index), 1.7 * index + sunX * 5)
      colour = mix(
        colour,
        mix(tone, ground[index + 1] ?? tone, (y - line) * 1.8),
        (y - line) * HEIGHT,
      )
    }
    return colour
  }
}

/** Bands that flow into each other. */
function marble(colours: readonly Colour[], seed: number): Painting {
  return (x, y) => {
    const u = x + 0.22 * Math.sin(3.1 * y + seed) + 0.08 * Math.sin(9 * y - seed)
    const v = y + 0.2 * Math.sin(2.7 * u + 2 * seed)
    return ramp(colours, 0.5 + 0.5 * Math.sin(3.4 * v + 1.3 * u + seed))
  }
}

/** Lights without edges. */
function glow(
  base: Colour,
  lights: readonly (readonly [x: number, y: number, colour: string])[],
): Painting {
  return (x, y) =>
    lights.reduce(
      (colour, [cx, cy, light]) =>
        mix(colour, hex(light), 1.05 * Math.exp(-7 * ((x - cx) ** 2 + (y - cy) ** 2))),
      base,
    )
}

/** Arcs around a corner. */
function arcs(colours: readonly Colour[], cx: number, cy: number): Painting {
  return (x, y) => {
    const ring = Math.hypot(x - cx, y - cy) * 7
    const tone = (index: number) => colours[index % colours.length] ?? [0, 0, 0]
    const index = Math.floor(ring)
    return mix(tone(index), tone(index + 1), (ring - index - 1) * 50 + 1)
  }
}

/** Waves under a moon. */
function sea(sky: readonly Colour[], water: readonly Colour[], moon: Colour): Painting {
  return (x, y) => {
    const horizon = 0.55
    if (y < horizon) return mix(ramp(sky, y / horizon), moon, disc(x, y, 0.9, 0.27, 0.12))
    const depth = (y - horizon) / (1 - horizon)
    const wave = Math.sin(70 * depth ** 0.6 + 3 * Math.sin(5 * x + 14 * depth))
    const shine = Math.exp(-(((x - 0.9) / (0.06 + 0.2 * depth)) ** 2)) * (0.55 + 0.45 * wave)
    return mix(mix(ramp(water, depth), [0, 10, 20], 0.12 * (1 + wave)), moon, 0.75 * shine)
  }
}

/** Plates on a table. */
function shapes(
  base: Colour,
  discs: readonly (readonly [x: number, y: number, radius: number, colour: string])[],
): Painting {
  return (x, y) =>
    discs.reduce(
      (colour, [cx, cy, radius, tone]) => mix(colour, hex(tone), disc(x, y, cx, cy, radius)),
      base,
    )
}

const PAINTINGS: readonly (readonly [name: string, painting: Painting])[] = [
  [
    'Evening over the hills.png',
    hills(
      palette('2b2a5c', '8d4c7e', 'f2936b', 'ffd89b'),
      palette('6c4470', '49315f', '2c2149', '191433'),
      hex('fff0c4'),
      0.92,
    ),
  ],
  ['Marble, green.png', marble(palette('0c3b36', '1f7a6b', 'b8dcc4', 'f4f1de', '2a9d8f'), 0.6)],
  [
    'Moon on the bay.png',
    sea(palette('0b1330', '23345f', '6b7fa8'), palette('2c4a74', '0b1a33'), hex('f7ecd0')),
  ],
  ['Poster 1972.png', arcs(palette('f3e3c3', 'e76f51', '264653', 'e9c46a', '2a9d8f'), 0.1, 1)],
  [
    'Morning fog.png',
    hills(
      palette('bfd7ea', 'dfe9ee', 'fbf3e4'),
      palette('a9bfc9', '7f9ca8', '547683', '30525f'),
      hex('ffffff'),
      0.42,
    ),
  ],
  [
    'Northern lights.png',
    glow(hex('07142b'), [
      [0.3, 0.3, '1f8f7a'],
      [0.75, 0.2, '55d6a7'],
      [1.1, 0.45, '3d6fd1'],
      [0.6, 1.1, '0a2340'],
    ]),
  ],
  [
    'Plates.png',
    shapes(hex('efe6d8'), [
      [0.35, 0.42, 0.3, 'c8553d'],
      [0.42, 0.5, 0.17, 'f2d0a9'],
      [0.98, 0.62, 0.33, '2d5d62'],
      [0.98, 0.62, 0.21, '8fb8a8'],
      [0.75, 0.12, 0.13, 'e9b44c'],
    ]),
  ],
  [
    'Desert noon.png',
    hills(
      palette('5fb3d4', 'a8d8e3', 'fbe8c8'),
      palette('e3a466', 'd0834a', 'b0623a', '8a4a30'),
      hex('fffbe8'),
      0.25,
    ),
  ],
  ['Ink in water.png', marble(palette('f7f7fb', 'c9cfe8', '5c6bc0', '1a237e', '8e99d6'), 2.4)],
  [
    'Peach.png',
    glow(hex('ffd9c2'), [
      [0.2, 0.2, 'ff8fa3'],
      [1.1, 0.25, 'ffc46b'],
      [0.7, 0.95, 'f26b8a'],
      [1.3, 1, 'ffe9d6'],
    ]),
  ],
  [
    'Record sleeve.png',
    arcs(palette('14213d', 'fca311', 'e5e5e5', '1d3557', 'e63946'), 1.05, 0.15),
  ],
  [
    'Blue hour.png',
    hills(
      palette('132a4e', '3f5f93', 'a6b5d6', 'f1d7cf'),
      palette('34507c', '233a60', '152743', '0b172b'),
      hex('ffe6d2'),
      1.08,
    ),
  ],
]

/** Twelve different images of 480 by 360 pixels: names and PNGs, created within a second. */
export const paintedPngs = (): readonly (readonly [name: string, png: Buffer])[] =>
  PAINTINGS.map(([name, painting]) => [name, paint(painting)])

function paint(painting: Painting): Buffer {
  const samples = new Uint8Array(WIDTH * HEIGHT * 3)
  for (let row = 0; row < HEIGHT; row++)
    for (let column = 0; column < WIDTH; column++) {
      const colour = painting((column / WIDTH) * RATIO, row / HEIGHT)
      samples.set(colour.map(Math.round), (row * WIDTH + column) * 3)
    }
  return colourPng(WIDTH, HEIGHT, samples)
}
