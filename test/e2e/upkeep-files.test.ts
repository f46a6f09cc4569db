import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UsageError } from '../../cli/command.ts'
import { appendToLog, type IndexRecord, recordsIn } from '../../cli/record-file.ts'
import {
  forgetWalks,
  savedBuckets,
  savedWalk,
  saveWalk,
  type WalkName,
} from '../../cli/upkeep-state.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
})
afterEach(() => rm(folder, { recursive: true }))

const at = (name: string): string => join(folder, name)

const recordOf = (key: string): IndexRecord => ({
  ...{ key, bucket: 'files', name: 'ä\u2028.jpg', size: 1, mimetype: 'image/jpeg' },
  ...{ etag: '"e"', owner: null, createdAt: '2026-11-24T12:00:00.000Z' },
})

const allIn = async (file: string): Promise<string[]> => {
  const keys: string[] = []
  for await (const { key } of recordsIn(file)) keys.push(key)
  return keys
}

describe('the state of upkeep', () => {
  const name: WalkName = {
    url: 'https://files.example/media',
    bucket: 'files',
    mode: 'default',
    import: null,
  }
  const walk = {
    cursor: 'c1',
    savedAt: '2026-11-28T12:00:00.000Z',
    isDone: false,
    stopped: null,
  }

  it('is a file that only its owner can read, replaced at once', async () => {
    const file = at('state.json')
    expect(await savedWalk(file, name)).toBeUndefined()
    await writeFile(`${file}.${process.pid}.tmp`, 'left over by a crash', { mode: 0o644 })
    await saveWalk(file, name, walk)
    const first = await stat(file)
    expect(first.mode & 0o777).toBe(0o600)
    await saveWalk(file, name, { ...walk, cursor: 'c2' })
    expect((await stat(file)).ino).not.toBe(first.ino)
    expect(await savedWalk(file, name)).toEqual({ ...walk, cursor: 'c2' })
    expect(await readdir(folder)).toEqual(['state.json'])
  })

  it('has one entry for each URL, bucket, mode and import', async () => {
    const file = at('state.json')
    const others: WalkName[] = [
      { ...name, url: 'https://other.example/media' },
      { ...name, bucket: 'archive' },
      { ...name, mode: 'report' },
      { ...name, import: { prefix: 'photos/' } },
      { ...name, import: { prefix: 'photos/', owner: 'photos/{owner}/' } },
    ]
    for (const [i, other] of [name, ...others].entries())
      await saveWalk(file, other, { ...walk, cursor: String(i) })
    for (const [i, other] of [name, ...others].entries())
      expect((await savedWalk(file, other))?.cursor).toBe(String(i))
    expect((await savedWalk(file, { ...name, url: `${name.url}/` }))?.cursor).toBe('0')
    await saveWalk(file, name, undefined)
    expect(await savedWalk(file, name)).toBeUndefined()
    expect((await savedWalk(file, others[4] as WalkName))?.cursor).toBe('5')
  })

  it('forgets the walks of one bucket, or of one Worker, but no report, import or foreign entry', async () => {
    const file = at('state.json')
    const archive = { ...name, bucket: 'archive' }
    const elsewhere = { ...name, url: 'https://other.example' }
    const report: WalkName = { ...name, mode: 'report' }
    const importing = { ...name, import: { prefix: 'photos/' } }
    for (const one of [name, archive, elsewhere, report, importing])
      await saveWalk(file, one, walk, ['files', 'archive'])
    const state = JSON.parse(await readFile(file, 'utf8'))
    state.walks['by hand'] = walk
    await writeFile(file, JSON.stringify(state))
    await forgetWalks(file, name)
    expect(await savedWalk(file, name)).toBeUndefined()
    expect(await savedWalk(file, archive)).toEqual(walk)
    await forgetWalks(file, { ...name, bucket: undefined })
    expect(await savedWalk(file, archive)).toBeUndefined()
    for (const one of [elsewhere, report, importing])
      expect(await savedWalk(file, one)).toEqual(walk)
    expect(await savedBuckets(file, name.url)).toEqual(['files', 'archive'])
  })

  it.each(['', '{}', '{"version": 2, "walks": {}, "buckets": {}}', '{"version": 1, "wal'])(
    'never replaces a file with other content: %j',
    async (content) => {
      await writeFile(at('state.json'), content)
      await expect(savedWalk(at('state.json'), name)).rejects.toThrow('not a state of upkeep')
      await expect(saveWalk(at('state.json'), name, walk)).rejects.toThrow('not a state of upkeep')
      expect(await readFile(at('state.json'), 'utf8')).toBe(content)
    },
  )
})

describe('the log of dropped records', () => {
  it('grows, and only its owner can read it', async () => {
    const file = at('dropped.ndjson')
    await appendToLog(file, [recordOf('a'), recordOf('b')])
    await appendToLog(file, [recordOf('c')])
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await allIn(file)).toEqual(['a', 'b', 'c'])
  })

  it('can be read and continued wherever a crash has cut it', async () => {
    const file = at('dropped.ndjson')
    await appendToLog(file, [recordOf('a'), recordOf('b')])
    const whole = await readFile(file)
    const [first = '', a = ''] = whole.toString().split('\n')
    const afterFirst = Buffer.byteLength(first) + 1
    const afterA = afterFirst + Buffer.byteLength(a) + 1
    for (let length = 0; length < whole.length; length += 1) {
      await writeFile(file, whole.subarray(0, length))
      if (length >= afterFirst) {
        const read = await allIn(file)
        expect(read, `${length}`).toEqual(
          ['a', 'b'].slice(0, length >= whole.length - 1 ? 2 : length >= afterA - 1 ? 1 : 0),
        )
      }
      await appendToLog(file, [recordOf('c')])
      const keys = await allIn(file)
      expect(keys.at(-1), `${length}`).toBe('c')
      expect(keys.length, `${length}`).toBe(
        length >= whole.length - 1 ? 3 : length >= afterA - 1 ? 2 : 1,
      )
    }
  })

  it('can have been begun by two commands at once', async () => {
    const file = at('dropped.ndjson')
    await appendToLog(file, [recordOf('a')])
    await appendFile(file, await readFile(file))
    expect(await allIn(file)).toEqual(['a', 'a'])
  })

  it('says what the disk says', async () => {
    await expect(appendToLog('/dev/full', [recordOf('a')])).rejects.toThrow(
      expect.objectContaining({
        name: UsageError.name,
        message: expect.stringMatching(/ENOSPC|EINVAL/),
      }),
    )
  })

  it('refuses another file, and a broken line in the middle', async () => {
    const file = at('dropped.ndjson')
    await writeFile(file, '{"format":"edge-presigner index","version":1}\n{"records":0}\n')
    await expect(appendToLog(file, [recordOf('a')])).rejects.toThrow('not a log of dropped')
    expect(await allIn(file)).toEqual([])
    await rm(file)
    await appendToLog(file, [recordOf('a')])
    await appendFile(file, `{"key": "b"}\n${JSON.stringify(recordOf('c'))}\n`)
    await expect(allIn(file)).rejects.toThrow('line 3 is not a record')
  })
})
