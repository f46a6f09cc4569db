import { describe, expect, it } from 'vitest'
import { createPresigner, defineSettings, type SettingsInput } from '../../src/index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN, settingsInput } from '../support/app.ts'
import { clientOf } from '../support/mount.ts'

const [bucket] = Object.values(settingsInput().buckets)
const others = { photos: { ...bucket, bucket: 'photos' } } as SettingsInput['buckets']

const presigner = (changes: Partial<SettingsInput> = {}) => {
  const made = createPresigner(
    defineSettings(() => settingsInput(changes)),
    { plugins: [tokens()], authenticate: () => ANN, log: () => undefined },
  )
  return clientOf(made)
}

/** What /healthz says of each, asked in `order`. */
async function healths(all: readonly Partial<SettingsInput>[], order = [...all.keys()]) {
  const apps = all.map(presigner)
  const answers = new Map<number, unknown>()
  for (const i of order) {
    const { issues } = await jsonOf(await (apps[i] ?? presigner()).fetch(`${ORIGIN}/healthz`))
    answers.set(i, issues)
  }
  return all.map((_, i) => answers.get(i))
}

const refused = [
  {
    path: 'name',
    message: 'must differ from that of another presigner with the same signingSecrets',
  },
]

describe('two presigners of one Worker', () => {
  // @threat instance-confused
  it.each([
    [0, 1],
    [1, 0],
  ])(
    'with the same secrets need different names, whichever is asked first: %d',
    async (...order) => {
      expect(await healths([{}, { buckets: others }], order)).toEqual([undefined, refused])
    },
  )
})
