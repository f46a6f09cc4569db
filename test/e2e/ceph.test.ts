import { startCeph } from '../../dev/ceph.ts'
import { declareContract } from './contract.ts'
import { describeWith, RADOSGW } from './system-package.ts'

describeWith([RADOSGW], 'the built Worker with Ceph RGW', () =>
  declareContract(startCeph, {
    refusesUnsigned: true,
    limitsWriter: true,
    virtualHosts: true,
    keepsEmptySegments: true,
    checksForms: true,
    readsParts: false,
  }),
)
