// torch.randn on the CPU, from a seed: the Mersenne Twister mt19937 gives uniform numbers, and the Box-Muller
// transform turns pairs of these into normal ones. The logarithm and the sine are rounded otherwise than
// torch's (which differ between CPUs, too), so about a third of the numbers are the same to the last bit, and
// the others nearly.

// Matsumoto & Nishimura 1998; gives a function that gives the next 32 bits.
export function mersenneTwister(seed) {
  const state = new Uint32Array(624);
  let k = 624;
  state[0] = Number(BigInt(seed) & 0xffffffffn);  // torch, too, takes the low 32 bits
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i-1] ^ state[i-1] >>> 30) + i;
  function twist() {
    for (let i = 0; i < 624; i++) {
      const y = state[i] & 0x80000000 | state[(i + 1) % 624] & 0x7fffffff;
      state[i] = state[(i + 397) % 624] ^ y >>> 1 ^ (y & 1 ? 0x9908b0df : 0);
    }
    k = 0;
  }
  return () => {
    if (k === 624) twist();
    let y = state[k++];
    y ^= y >>> 11;
    y ^= y << 7 & 0x9d2c5680;
    y ^= y << 15 & 0xefc60000;
    return (y ^ y >>> 18) >>> 0;
  };
}

export function normalNoise(seed, n) {  // n numbers, 16 or more
  if (n < 16) throw new Error('torch makes fewer than 16 numbers in another way');
  const next = mersenneTwister(seed), x = new Float32Array(n), uniform = () => (next() & 0xffffff) / 2 ** 24;
  function boxMuller(start) {  // 16 uniform numbers become 16 normal ones
    for (let k = start; k < start + 8; k++) {
      const radius = Math.sqrt(-2 * Math.log(1 - x[k])), angle = 2 * Math.PI * x[k+8];
      x[k] = radius * Math.cos(angle);
      x[k+8] = radius * Math.sin(angle);
    }
  }
  for (let k = 0; k < n; k++) x[k] = uniform();
  for (let k = 0; k + 16 <= n; k += 16) boxMuller(k);
  if (n % 16) {  // the last 16 are made anew
    for (let k = n - 16; k < n; k++) x[k] = uniform();
    boxMuller(n - 16);
  }
  return x;
}
