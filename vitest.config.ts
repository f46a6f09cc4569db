import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { leftOut } from './test/setup/left-out.ts'
import { testBindings, testPorts } from './test/setup/test-bindings.ts'

const ports = await testPorts()
const portsOnNode = await testPorts()

/** Tests of code that must run on every runtime. They don't import anything from Workers. */
const PORTABLE = [
  'test/{keys,signing}/*.test.ts',
  'test/access/!(cross-use|jwks|principal).test.ts',
  'test/bucket/find-bucket.test.ts',
  'test/file-index/memory-file-index.test.ts',
  'test/events/{file-event,retry-delay,standard-webhooks}.test.ts',
  'test/client/{server-calls,webhook}.test.ts',
  'test/delivery/{byte-range,content-disposition,download-url,media-type,preconditions,redirect}.test.ts',
  'test/settings/define.test.ts',
  'test/signer/signer.test.ts',
  'test/storage/{delete-objects,multipart-answers,multipart-failures,multipart-pages,multipart-requests,object-failures,xml}.test.ts',
  'test/uploads/{content-type,new-upload,part-plan,signed-headers,single}.test.ts',
]

/**
 * Files that take half a minute or more. If they started last, one core would be idle at the end.
 */
const SLOW = [
  'client',
  'client-outages',
  'client-r2',
  'client-server',
  'client-react',
  'page',
  'page-gallery',
  'page-uploads',
  'dev',
  'doctor',
  'first-hour',
  'ceph',
  'bucket-policies',
  'uppy',
  'package',
  'stored-types',
  'webhooks',
].map((name) => `/test/e2e/${name}.test.ts`)

class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = SLOW.findIndex((name) => moduleId.endsWith(name))
      return at === -1 ? SLOW.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: SlowFirst },
    // The Worker's own log, a line a request, and wrangler's greeting say nothing that a failing
    // test doesn't.
    onConsoleLog: (text) => !/^(?:\{"(?:requestId|warning)"|\[wrangler:info\])/.test(text),
    projects: [
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              bindings: testBindings(ports),
              ratelimits: {
                TIGHT_RATE_LIMITER: { namespace_id: 'tight', simple: { limit: 3, period: 60 } },
              },
            },
          }),
        ],
        test: {
          name: 'worker',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/docs/**', 'test/mount/node.test.ts'],
          // Much longer than a test needs on a loaded machine, to end a test that hangs.
          testTimeout: 30_000,
          hookTimeout: 30_000,
          // One workerd runs all files, one after another. The setup files clean up after each.
          isolate: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          setupFiles: ['test/support/clean-globals.ts', 'test/support/clean-storage.ts'],
          globalSetup: ['test/setup/start-servers.ts'],
          provide: { testPorts: ports, s3Endpoint: `http://127.0.0.1:${ports.s3}` },
        },
      },
      {
        test: {
          name: 'signer',
          include: [...PORTABLE, 'test/mount/node.test.ts'],
          testTimeout: 30_000,
          isolate: false,
          setupFiles: ['test/support/clean-globals.ts'],
          globalSetup: ['test/setup/start-servers.ts'],
          provide: { testPorts: portsOnNode, s3Endpoint: `http://127.0.0.1:${portsOnNode.s3}` },
        },
      },
      {
        test: {
          name: 'node',
          include: ['test/e2e/**/*.test.ts', 'test/docs/**/*.test.ts'],
          exclude: [
            ...configDefaults.exclude,
            ...leftOut(process.platform),
            'test/e2e/uppy-packages/**',
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 30_000 } },
          // These tests wait for servers and browsers a third of the time, also on two cores.
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
      {
        // `npm run test:uppy`
        test: {
          name: 'uppy',
          include: ['test/e2e/uppy-packages/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          // Ceph RGW on SQLite sometimes loses a part or hangs.
          retry: 1,
          expect: { poll: { timeout: 30_000 } },
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
