/** The answers to `--provider`. docs/deploy.md#providers has a table for each. */
export const PROVIDERS = ['r2', 's3', 'b2', 'wasabi', 'minio', 'ceph', 'none'] as const
export type Provider = (typeof PROVIDERS)[number]
export type BucketProvider = Exclude<Provider, 'none'>

/** How to make the table of a bucket. */
export interface ProviderRow {
  readonly title: string
  /** What the endpoint is made of, or that one must state it. */
  readonly asks: 'accountId' | 'region' | 'endpoint'
  /** The region of most buckets, or undefined if there are many. */
  readonly region?: string
  /** What it looks like, or where to find it. */
  readonly hint: string
  readonly endpoint: (place: string) => string
  /** Whether the bucket's name is part of the host, if it has only `a-z`, `0-9` and `-`. */
  readonly virtual: boolean
  /** False if no access key can be limited to uploads. */
  readonly writeOnlyKeys: boolean
}

const stated = (endpoint: string): string => endpoint

export const PROVIDER_ROWS: Readonly<Record<BucketProvider, ProviderRow>> = {
  r2: {
    title: 'Cloudflare R2',
    asks: 'accountId',
    region: 'auto',
    hint: '32 hexadecimal digits, in the dashboard next to your buckets',
    endpoint: (account) => `https://${account}.r2.cloudflarestorage.com`,
    virtual: false,
    writeOnlyKeys: false,
  },
  s3: {
    title: 'AWS S3',
    asks: 'region',
    hint: 'such as eu-central-1',
    endpoint: (region) =>
      `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`,
    virtual: true,
    writeOnlyKeys: true,
  },
  b2: {
    title: 'Backblaze B2',
    asks: 'region',
    hint: "such as us-west-004, in the bucket's endpoint",
    endpoint: (region) => `https://s3.${region}.backblazeb2.com`,
    virtual: false,
    writeOnlyKeys: true,
  },
  wasabi: {
    title: 'Wasabi',
    asks: 'region',
    hint: 'such as eu-central-1',
    endpoint: (region) => `https://s3.${region}.wasabisys.com`,
    virtual: false,
    writeOnlyKeys: true,
  },
  minio: {
    title: 'MinIO',
    asks: 'endpoint',
    region: 'us-east-1',
    hint: 'such as https://minio.example.com',
    endpoint: stated,
    virtual: false,
    writeOnlyKeys: true,
  },
  ceph: {
    title: 'Ceph RGW',
    asks: 'endpoint',
    region: 'us-east-1',
    hint: 'such as https://rgw.example.com',
    endpoint: stated,
    virtual: false,
    writeOnlyKeys: true,
  },
}
