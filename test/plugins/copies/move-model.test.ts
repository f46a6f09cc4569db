import { describe, expect, it } from 'vitest'
import { explore, RULES, type Rules, type Scenario, stored } from './move-model.ts'

const A = { A: stored(1) }
const AB = { A: stored(1), B: stored(2, -900) }
const AC = { A: stored(1), C: stored(3, -900) }
/** A move from A to B was killed before its DELETE, or before it knew that the bucket had copied. */
const COPIED = {
  objects: { A: stored(1), B: stored(1, -900) },
  journals: { B: { from: 'A', source: -1000, wasVacant: true, target: -900 } },
} as const
const UNANSWERED = {
  objects: { A: stored(1), B: { ...stored(1, -900), isRecorded: false } },
  journals: { B: { from: 'A', source: -1000, wasVacant: true, target: null } },
} as const

const SCENARIOS = {
  'a move, its repeat and its undo': {
    objects: A,
    acts: [{ move: ['A', 'B'] }, { move: ['A', 'B'] }, { move: ['B', 'A'] }],
    jumps: 2,
  },
  'a move and its undo, of which two are lost': {
    objects: A,
    acts: [{ move: ['A', 'B'] }, { move: ['B', 'A'] }, { move: ['A', 'B'] }],
    ...{ jumps: 3, losses: 2 },
  },
  'the repeat of a move that was killed, and its undo': {
    ...COPIED,
    acts: [{ move: ['A', 'B'] }, { move: ['B', 'A'], overwrite: true }],
    ...{ jumps: 2, losses: 1 },
  },
  'the repeat and the undo of a move that was killed, and both overwrite': {
    ...COPIED,
    acts: [
      { move: ['A', 'B'], overwrite: true },
      { move: ['B', 'A'], overwrite: true },
    ],
    ...{ jumps: 2, losses: 1 },
  },
  'the repeat and the undo of a move that got no answer': {
    ...UNANSWERED,
    acts: [{ move: ['A', 'B'] }, { move: ['B', 'A'], overwrite: true }, { move: ['A', 'B'] }],
    ...{ jumps: 2, losses: 1 },
  },
  'two equal files that are moved onto each other': {
    objects: AB,
    acts: [{ move: ['A', 'B'] }, { move: ['B', 'A'] }],
    ...{ jumps: 2, losses: 1 },
  },
  'a swap that overwrites, and a repeat': {
    objects: AB,
    acts: [
      { move: ['A', 'B'], overwrite: true },
      { move: ['B', 'A'], overwrite: true },
      { move: ['A', 'B'], overwrite: true, after: 0 },
    ],
    ...{ jumps: 2, losses: 1 },
  },
  'a move whose source another move overwrites, and its repeat': {
    objects: AC,
    acts: [
      { move: ['A', 'B'] },
      { move: ['C', 'A'], overwrite: true },
      { move: ['C', 'A'], overwrite: true, after: 1 },
    ],
    ...{ jumps: 3, losses: 1 },
  },
  'a move whose source another move overwrites before it is repeated': {
    objects: { A: stored(1, 0), C: stored(3, 0) },
    acts: [
      { move: ['A', 'B'] },
      { move: ['C', 'A'], overwrite: true },
      { move: ['A', 'B'], after: 0 },
    ],
    ...{ jumps: 3, losses: 1 },
  },
  'two moves to one key': {
    objects: AC,
    acts: [{ move: ['A', 'B'] }, { move: ['C', 'B'] }, { move: ['A', 'B'], after: 0 }],
    ...{ jumps: 3, losses: 1 },
  },
  'a chain of moves': {
    objects: A,
    acts: [{ move: ['A', 'B'] }, { move: ['B', 'C'] }, { move: ['A', 'B'], after: 0 }],
    ...{ jumps: 3, losses: 1 },
  },
  'a move, and an upload to its source': {
    objects: A,
    acts: [{ move: ['A', 'B'] }, { put: 'A', id: 4 }, { move: ['A', 'B'], after: 0 }],
    ...{ jumps: 3, losses: 1 },
  },
  'a move, and an upload to its target': {
    objects: A,
    acts: [{ move: ['A', 'B'] }, { put: 'B', id: 4 }, { move: ['A', 'B'], after: 0 }],
    ...{ jumps: 3, losses: 1 },
  },
  'a move, and somebody deletes its target': {
    objects: A,
    acts: [{ move: ['A', 'B'] }, { remove: 'B' }, { move: ['A', 'B'], after: 0 }],
    ...{ jumps: 3, losses: 1 },
  },
} as const satisfies Readonly<Record<string, Scenario>>

type Name = keyof typeof SCENARIOS

// @threat move-loses
describe('a move that holds both keys loses no file in any order of', () => {
  it.each(Object.entries(SCENARIOS))('%s', (_, scenario) => {
    expect(explore(scenario)).toEqual({ states: expect.any(Number), loss: null })
    // Somebody who replaces an object by an equal one within its second is not noticed.
    if (scenario.acts.every((act) => 'move' in act))
      expect(explore({ ...scenario, hasCoarseDates: true }).loss).toBeNull()
  })
})

describe('the model finds an order that loses a file', () => {
  it.each([
    [{ holdsKeys: false }, 'a move, its repeat and its undo'],
    [{ lease: 2 }, 'the repeat of a move that was killed, and its undo'],
    [{ endsInTime: false }, 'a move and its undo, of which two are lost'],
    [{ keepsUnanswered: false }, 'the repeat of a move that was killed, and its undo'],
    [{ looksAtSource: false }, 'a move, and an upload to its source'],
    [{ looksAtTarget: false }, 'a move, and somebody deletes its target'],
    [{ hasJournal: false }, 'two equal files that are moved onto each other'],
    [{ comparesDate: false }, 'a move, and an upload to its target'],
    [{ comparesNotes: false }, 'a move whose source another move overwrites before it is repeated'],
    [{ sparesRecorded: false }, 'a move, and an upload to its target'],
  ] as const satisfies readonly (readonly [Partial<Rules>, Name])[])(
    'with %j: %s',
    (rules, name) => {
      const isCoarse = 'comparesNotes' in rules
      const { loss } = explore(
        { ...SCENARIOS[name], hasCoarseDates: isCoarse },
        { ...RULES, ...rules },
      )
      expect(loss).toMatch(/: delete|: copy/)
    },
  )
})
