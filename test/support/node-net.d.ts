/** The part of Node's net that judges ranges of addresses. The Worker's types exclude Node. */
declare module 'node:net' {
  export class BlockList {
    addSubnet(network: string, prefix: number, type: 'ipv4' | 'ipv6'): void
    check(address: string, type: 'ipv4' | 'ipv6'): boolean
  }
  export function isIP(input: string): 0 | 4 | 6
}
