interface Env {
  FILE_INDEX: KVNamespace
}

const AT_ONCE = 50

/** Puts the records from `?from=` to `?to=` into the index, in the format of docs/maintainers/stored-data.md. */
export default {
  async fetch(request, { FILE_INDEX }) {
    const { searchParams } = new URL(request.url)
    const to = Number(searchParams.get('to'))
    for (let from = Number(searchParams.get('from')); from < to; from += AT_ONCE)
      await Promise.all(
        Array.from({ length: Math.min(AT_ONCE, to - from) }, (_, i) =>
          FILE_INDEX.put(`file:files:${keyOf(from + i)}`, '', { metadata: recordOf(from + i) }),
        ),
      )
    return new Response('seeded')
  },
} satisfies ExportedHandler<Env>

const keyOf = (i: number): string =>
  `uploads/7h2kz0m4w${String(i).padStart(11, '0')}-my-photo-${String(i % 1000).padStart(3, '0')}.jpg`

const recordOf = (i: number) => ({
  v: 1,
  name: `My Photo ${i}.JPG`,
  size: 48_213 + i,
  mimetype: 'image/jpeg',
  etag: '"9dd4e461268c8034f5c8564e155c67a6"',
  owner: 'key:bench',
  createdAt: '2026-11-24T23:28:04.000Z',
})
