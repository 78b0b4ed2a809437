/** A defect that chance alone does not find: 1 in 16 million inputs; by coverage it takes three steps of 1 in 256. */
export function planted(input: Buffer): void {
  if (input[0] === 0x46) {
    if (input[3] === 0x55) {
      if (input[5] === 0x5a) {
        throw new Error('reached');
      }
    }
  }
}
