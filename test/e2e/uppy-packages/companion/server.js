import * as companion from '@uppy/companion'
import express from 'express'

/**
 * Uppy's own Companion on a port of 127.0.0.1, for the bucket that the first argument describes as
 * JSON: `{port, directory, endpoint, region, bucket, accessKeyId, secretAccessKey}`.
 */
const { port, directory, accessKeyId, secretAccessKey, ...s3 } = JSON.parse(process.argv[2])
const { app } = companion.app({
  secret: 'of no use here',
  filePath: directory,
  server: { host: `127.0.0.1:${port}`, protocol: 'http' },
  corsOrigins: true,
  metrics: false,
  s3: { ...s3, key: accessKeyId, secret: secretAccessKey, forcePathStyle: true },
})
express().use(app).listen(port, '127.0.0.1')
