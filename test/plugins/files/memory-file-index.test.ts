import { describe } from 'vitest'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { declareFileIndexContract } from './contract.ts'

describe('the file index in memory', () => declareFileIndexContract(memoryFileIndex))
