// Four solvers of the reverse process, as in chapters 05 and 05b. A solver is a generator function: it yields
// [latents, index of the noise level] when it wants the network, and is given {denoised, slope}: the
// predicted x0 and the predicted noise. Latents are those of the variance-exploding parameterisation, clean +
// sigma * noise.

const combine = (...terms) => {  // the sum of weight times latents, for any number of [weight, latents]
  const out = new Float32Array(terms[0][1].length);
  for (const [weight, x] of terms) for (let k = 0; k < out.length; k++) out[k] += weight * x[k];
  return out;
};

function* euler(x, sigmas, first) {  // follow the slope from one noise level to the next
  for (let i = first; i < sigmas.length - 1; i++) {
    const {slope} = yield [x, i];
    x = combine([1, x], [sigmas[i+1] - sigmas[i], slope]);
  }
  return x;
}

function* lms(x, sigmas, first) {  // integrate a polynomial through the last four slopes
  let slopes = [];
  for (let i = first; i < sigmas.length - 1; i++) {
    const {slope} = yield [x, i];
    slopes = [slope, ...slopes].slice(0, 4);
    const weights = lmsWeights(sigmas, i, slopes.length);
    x = combine([1, x], ...slopes.map((s, k) => [weights[k], s]));
  }
  return x;
}

function lmsWeights(sigmas, i, order) {  // the integral of each Lagrange polynomial over the step
  const nodes = Array.from({length: order}, (_, k) => sigmas[i-k] - sigmas[i]);
  const end = sigmas[i+1] - sigmas[i];
  return nodes.map((node, k) => {
    const others = nodes.filter((_, n) => n !== k);
    let poly = [1], area = 0;  // coefficients, the constant first
    for (const other of others) poly = [...poly, 0].map((a, n) => (n ? poly[n-1] : 0) - other * a);
    for (let n = order; n > 0; n--) area = (area + poly[n-1] / n) * end;
    return area / others.reduce((product, other) => product * (node - other), 1);
  });
}

function* ddim(x, sigmas, first) {  // go to the predicted x0, and add the predicted noise for the next level
  for (let i = first; i < sigmas.length - 1; i++) {
    const {denoised, slope} = yield [x, i];
    x = combine([1, denoised], [sigmas[i+1], slope]);
  }
  return x;
}

function* dpmpp2m(x, sigmas, first) {  // interpolate towards an x0 that is extrapolated from the last two
  let last = null;
  for (let i = first; i < sigmas.length - 1; i++) {
    const {denoised} = yield [x, i];
    let target = denoised;
    if (last && sigmas[i+1] > 0) {
      const h = Math.log(sigmas[i] / sigmas[i+1]), hLast = Math.log(sigmas[i-1] / sigmas[i]);
      const r = h / (2 * hLast);
      target = combine([1 + r, denoised], [-r, last]);
    }
    const keep = sigmas[i+1] / sigmas[i];
    x = combine([keep, x], [1 - keep, target]);
    last = denoised;
  }
  return x;
}

// `whole`: timesteps are whole numbers. `open`: leave out the lowest noise level, so that the step to 0 is
// longer.
export const SCHEDULERS = {
  lms: {label: 'LMS', solver: lms, spacing: 'linspace'},
  euler: {label: 'Euler', solver: euler, spacing: 'linspace'},
  ddim: {label: 'DDIM', solver: ddim, spacing: 'leading', whole: true},
  dpmpp_2m: {label: 'DPM++ 2M', solver: dpmpp2m, spacing: 'linspace', whole: true, open: true},
};

// ---- chapter 04: noise levels

// The noise level sigma of each timestep, rising; rounded to fp32 where torch does it.
function noiseLevels({beta_start, beta_end, beta_schedule, num_train_timesteps: n}) {
  const p = beta_schedule === 'scaled_linear' ? 0.5 : 1, f = Math.fround;
  const start = f(beta_start ** p), end = f(beta_end ** p), step = f((end - start) / (n - 1));
  let product = 1;
  return Array.from({length: n}, (_, k) => {
    const root = f(k < n / 2 ? start + step * k : end - step * (n - 1 - k));
    product *= f(1 - f(root ** (1 / p)));
    const alpha = f(product);
    return f(Math.sqrt(f(f(1 - alpha) / alpha)));
  });
}

const roundHalfEven = x => Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);

function spacedTimesteps(steps, spacing, n) {
  const falling = Array.from({length: steps}, (_, k) => steps - 1 - k);
  if (spacing === 'linspace') return falling.map(k => k * (n - 1) / Math.max(1, steps - 1));
  const gap = Math.floor(n / steps);  // 'leading'
  return falling.map(k => k * gap + Math.min(1, n - 1 - (steps - 1) * gap));
}

// Choose timesteps [steps] and noise levels [steps + 1]; the last level is 0, the clean latents.
export function planSteps({spacing, whole, open}, config, steps) {
  const n = config.num_train_timesteps, known = noiseLevels(config), longer = open && steps < n ? 1 : 0;
  let timesteps = spacedTimesteps(steps + longer, spacing, n).slice(0, steps);
  if (whole) timesteps = timesteps.map(roundHalfEven);
  const sigmas = timesteps.map(t => {  // between two timesteps: in between
    const k = Math.min(Math.floor(t), n - 2);
    return Math.fround(known[k] + (t - k) * (known[k+1] - known[k]));
  });
  return {timesteps: timesteps.map(Math.fround), sigmas: [...sigmas, 0]};
}

// ---- chapter 07: what the network's prediction says

export const cfg = (uncond, text, scale) => uncond.map((u, k) => u + scale * (text[k] - u));

export const unitVariance = (x, sigma) => x.map(v => v / Math.sqrt(1 + sigma ** 2));  // the network's input

export function splitPrediction(output, input, sigma, type = 'epsilon') {  // predicted x0, predicted noise
  const signal = Math.sqrt(1 / (1 + sigma ** 2)), noise = Math.sqrt(sigma ** 2 / (1 + sigma ** 2));
  if (type === 'epsilon')
    return {denoised: output.map((e, k) => (input[k] - noise * e) / signal), slope: output};
  if (type === 'sample')
    return {denoised: output, slope: output.map((x, k) => (input[k] - signal * x) / noise)};
  return {denoised: output.map((v, k) => signal * input[k] - noise * v),
          slope: output.map((v, k) => noise * input[k] + signal * v)};
}

// ---- the loop

// Sample from unit noise, or go on from the latents before step `first`. `predict(input, timestep)` calls the
// network and gives [unconditional, conditional]. After each step it yields what the step found out; the last
// one also has the clean latents, `last`.
export function* denoiseSteps({scheduler, config, steps, guidance, noise, latents, first = 0, predict}) {
  const row = SCHEDULERS[scheduler], {timesteps, sigmas} = planSteps(row, config, steps);
  const spread = row.whole ? Math.sqrt(1 + sigmas[0] ** 2) : sigmas[0];  // DDIM, DPM++: with x0's variance
  const run = row.solver(latents ?? noise.map(v => v * spread), sigmas, first);
  let next = run.next();
  while (!next.done) {
    const [x, i] = next.value, input = unitVariance(x, sigmas[i]);
    const [uncond, text] = predict(input, timesteps[i]);
    const split = output => splitPrediction(output, input, sigmas[i], config.prediction_type);
    const guided = split(cfg(uncond, text, guidance));
    next = run.next(guided);
    yield {
      index: i, timestep: timesteps[i], sigma: sigmas[i], latents: x, input,
      uncond: split(uncond).denoised, text: split(text).denoised, guided: guided.denoised,
      last: next.done ? next.value : null,
    };
  }
}
