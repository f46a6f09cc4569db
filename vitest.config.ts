import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { configDefaults, defineConfig } from 'vitest/config'
import { leftOut } from './test/setup/left-out.ts'
import { testBindings, testPorts } from './test/setup/test-bindings.ts'
import { buildDropBox } from './tools/dev/build-drop-box.ts'

await buildDropBox()
const ports = await testPorts()
const portsOnNode = await testPorts()
/** `npm run fuzz` multiplies the examples of property tests. */
const fuzzFactor = Number(process.env.FUZZ ?? 1)
const hostileRequests = Number(process.env.HOSTILE_REQUESTS ?? 900)
const absent = leftOut(process.platform)

/** Tests of code that must run on every runtime. They don't import anything from Workers. */
const PORTABLE = [
  'test/{keys,signing}/*.test.ts',
  'test/access/!(cross-use|principal).test.ts',
  'test/formats/signed.test.ts',
  'test/bucket/find-bucket.test.ts',
  'test/client/{server-calls,webhook}.test.ts',
  'test/core/{content-disposition,content-type,download-url,file-event,signed-headers,upload-url}.test.ts',
  'test/errors/retry-delay.test.ts',
  'test/plugins/{api-keys,tokens}/{api-key,token}.test.ts',
  'test/plugins/jwt/jwt.test.ts',
  'test/plugins/events/standard-webhooks.test.ts',
  'test/plugins/files/memory-file-index.test.ts',
  'test/plugins/links/{byte-range,ip-range,media-type,preconditions,redirect}.test.ts',
  'test/plugins/multipart/{part-plan,upload-id}.test.ts',
  'test/plugins/uppy/post-policy.test.ts',
  'test/settings/define.test.ts',
  'test/signer/signer.test.ts',
  'test/storage/{delete-objects,multipart-*,object-failures,xml}.test.ts',
]

/** `NAME.slow.test.ts` runs in `npm run test:slow`, `NAME.full.test.ts` in `.ci/run full`. */
const SLOW = '**/*.slow.test.ts'
const FULL = '**/*.full.test.ts'

/** Less than the time of a test: a poll that ends says what it has seen last. */
const PATIENT = { poll: { timeout: 240_000 } }

/** Tests that start servers and browsers, and the documentation. */
const endToEnd = {
  // Twenty times as long as on an idle machine, to end a test that hangs.
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: PATIENT,
  // These tests wait for servers and browsers a third of the time, also on two cores.
  maxWorkers: 3,
}

export default defineConfig({
  test: {
    // The Worker's own log, a line a request, and wrangler's greeting say nothing that a failing
    // test doesn't.
    onConsoleLog: (text) => !/^(?:\{"(?:requestId|warning)"|\[wrangler:info\])/.test(text),
    // Everything that files share starts when the first file asks for it.
    globalSetup: ['test/setup/share-services.ts'],
    reporters: [...configDefaults.reporters, './test/setup/left-out-reporter.ts'],
    projects: [
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './examples/everything/wrangler.toml' },
            miniflare: {
              bindings: testBindings(ports),
              d1Databases: ['TEST_DB'],
              ratelimits: {
                TIGHT_RATE_LIMITER: { namespace_id: 'tight', simple: { limit: 3, period: 60 } },
              },
            },
          }),
        ],
        test: {
          name: 'worker',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/docs/**', 'test/mount/node{,-handler,-sqlite}.test.ts'],
          // Much longer than a test needs beside other tests, to end one that hangs.
          testTimeout: 300_000 * fuzzFactor,
          hookTimeout: 300_000,
          expect: PATIENT,
          // One workerd runs all files, one after another. The setup files clean up after each.
          isolate: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          setupFiles: [
            'test/support/clean-globals.ts',
            'test/support/clean-storage.ts',
            'test/support/fuzz.ts',
          ],
          globalSetup: ['test/setup/start-servers.ts'],
          provide: {
            ...{ fuzzFactor, hostileRequests, testPorts: ports },
            s3Endpoint: `http://127.0.0.1:${ports.s3}`,
          },
        },
      },
      {
        test: {
          name: 'signer',
          include: [...PORTABLE, 'test/mount/node{,-handler,-sqlite}.test.ts'],
          testTimeout: 300_000 * fuzzFactor,
          hookTimeout: 300_000,
          expect: PATIENT,
          isolate: false,
          setupFiles: ['test/support/clean-globals.ts', 'test/support/fuzz.ts'],
          globalSetup: ['test/setup/start-servers.ts'],
          provide: {
            ...{ fuzzFactor, hostileRequests },
            testPorts: portsOnNode,
            s3Endpoint: `http://127.0.0.1:${portsOnNode.s3}`,
          },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'node',
          include: ['test/{e2e,docs}/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...absent, SLOW, FULL],
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'slow',
          include: [SLOW],
          exclude: [...configDefaults.exclude, ...absent],
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'full',
          include: [FULL],
          exclude: [...configDefaults.exclude, ...absent],
          // Ceph RGW on SQLite sometimes loses a part or hangs.
          retry: 1,
          maxWorkers: 1,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
})
