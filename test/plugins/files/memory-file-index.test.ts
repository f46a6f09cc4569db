import { beforeEach, describe, expect, it } from 'vitest'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { declareFileIndexContract } from '../../../src/testing/file-index-contract.ts'

describe('the file index in memory', () =>
  declareFileIndexContract({ beforeEach, expect, it }, memoryFileIndex))
