import { describe } from 'vitest'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { declareFileIndexContract } from './contract.ts'
import { declareLockContract } from './locks.ts'

describe('the file index in memory', () => declareFileIndexContract(memoryFileIndex))
describe('a lock in memory', () => declareLockContract(memoryFileIndex))
