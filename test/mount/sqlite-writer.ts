import { sqliteFileIndex } from '../../src/sqlite.ts'
import { testRecord } from '../../src/testing/test-record.ts'

/** Puts `count` records into the index at `path`, and finds one by a word of its name. */
const [path = '', name = '', count = ''] = process.argv.slice(2)
const index = sqliteFileIndex(path)
for (let i = 0; i < Number(count); i++)
  await index.put(testRecord(`${name}/${i}`, { name: `${name} número ${i}` }))
const found = await index.answers?.find({
  bucket: 'files',
  prefix: '',
  limit: 9,
  q: `${name} numero 0`,
})
console.log(process.version, found?.records.map(({ key }) => key).join())
