import { declareContract } from './contract.ts'
import { sharedCeph } from './shared.ts'
import { describeWith, RADOSGW } from './system-package.ts'

describeWith([RADOSGW], 'the built Worker with Ceph RGW', () =>
  declareContract(sharedCeph, {
    unsigned: 403,
    expired: 403,
    limitsWriter: true,
    checksClock: true,
    virtualHosts: true,
    keepsEmptySegments: true,
    normalizesKeys: false,
    conditionalPut: false,
    copiesObjects: false,
    takesForms: true,
    readsParts: false,
  }),
)
