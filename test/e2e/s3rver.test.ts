import { describe } from 'vitest'
import { startS3rver } from '../../cli/s3rver.ts'
import { declareContract } from './contract.ts'

describe('the built Worker with s3rver', () =>
  declareContract(startS3rver, {
    unsigned: 403,
    expired: 403,
    limitsWriter: false,
    checksClock: false,
    virtualHosts: false,
    keepsEmptySegments: false,
    normalizesKeys: false,
    conditionalPut: false,
    copiesObjects: true,
    takesForms: true,
    readsParts: true,
  }))
