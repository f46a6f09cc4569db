import { describe } from 'vitest'
import { startS3rver } from '../../dev/s3rver.ts'
import { declareContract } from './contract.ts'

describe('the built Worker with s3rver', () =>
  declareContract(startS3rver, {
    refusesUnsigned: true,
    limitsWriter: false,
    virtualHosts: false,
    keepsEmptySegments: false,
    checksForms: true,
    readsParts: true,
  }))
