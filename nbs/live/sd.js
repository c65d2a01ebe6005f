// Stable Diffusion's inference in one file of JavaScript: the text encoder, the U-Net and the VAE's decoder,
// in the words of chapters 02, 06 and 03. It reads the weights that the Python package reads (safetensors,
// fp16), and computes in fp32. Nothing about a model is written in here: layers are found by the names of
// their weights, their shapes are the weights' shapes, and the rest (heads, groups, ...) comes from the
// config files.
//
// The numbers are kept in WebAssembly's memory, because the operation that takes nearly all of the time, the
// product of two matrices, is WebAssembly (kernel.wat). All others are loops in JavaScript. A feature map [B,
// C, h, w] is a matrix with a row for each channel and a column for each position, [C, B*h*w]. So a linear
// layer, a 1 x 1 convolution and a projection to queries are all the same: weights times matrix.

// ---- matrices

const KERNEL =  // kernel.wat, assembled
  'AGFzbQEAAAABDQFgCX9/f39/f39/fwACDwEDZW52Bm1lbW9yeQIAAQMCAQAHCwEHcHJvZHVjdAAACswDAckDAgx/C3sDQEEAIQoD' +
  'QCAAIAkgAWxqIQwgDCABaiENIA0gAWohDiAOIAFqIQ8gAiAKQQJ0aiEQIAQgCSAFbGogCkECdGohESARIAVqIRIgEiAFaiETIBMg' +
  'BWohFCAR/QAEACEYIBH9AAQQIRwgEv0ABAAhGSAS/QAEECEdIBP9AAQAIRogE/0ABBAhHiAU/QAEACEbIBT9AAQQIR8gCCELA0Ag' +
  'EP0ABAAhFiAQ/QAEECEXIAz9CQIAIRUgGCAVIBb95gH95AEhGCAcIBUgF/3mAf3kASEcIA39CQIAIRUgGSAVIBb95gH95AEhGSAd' +
  'IBUgF/3mAf3kASEdIA79CQIAIRUgGiAVIBb95gH95AEhGiAeIBUgF/3mAf3kASEeIA/9CQIAIRUgGyAVIBb95gH95AEhGyAfIBUg' +
  'F/3mAf3kASEfIAxBBGohDCANQQRqIQ0gDkEEaiEOIA9BBGohDyAQIANqIRAgC0EBayILDQALIBEgGP0LBAAgESAc/QsEECASIBn9' +
  'CwQAIBIgHf0LBBAgEyAa/QsEACATIB79CwQQIBQgG/0LBAAgFCAf/QsEECAKQQhqIgogB0kNAAsgCUEEaiIJIAZJDQALCw==';

let memory, product, top;  // the memory, the kernel, and where its free part begins, in bytes

const roundUp = (n, to) => Math.ceil(n / to) * to;

const code = Uint8Array.from(atob(KERNEL), c => c.charCodeAt(0));

export const supported = () => Boolean(globalThis.WebAssembly?.validate(code));  // SIMD is younger

export async function start(bytes) {  // make room for so many bytes, and compile the kernel
  memory = new WebAssembly.Memory({initial: Math.ceil(bytes / 65536)});
  product = (await WebAssembly.instantiate(code, {env: {memory}})).instance.exports.product;
  top = 64;
}

function numbers(n) {  // take memory for n numbers; like a stack, it is given back by `forget`
  const data = new Float32Array(memory.buffer, top, n);
  top = roundUp(top + 4 * n, 64);
  return data;
}

function matrix(rows, columns) {  // of zeros; the kernel may write past the edges, see there
  const stride = roundUp(columns, 8), data = numbers(roundUp(rows, 4) * stride);
  data.fill(0);
  return {rows, columns, stride, data};
}

function part(x, row, column, rows, columns) {  // a view of some rows and columns
  return {rows, columns, stride: x.stride, data: x.data.subarray(row * x.stride + column)};
}

function forget(compute) {  // give back all memory that `compute` took, but for the matrix that it returns
  const mark = top, x = compute();
  if (!x) { top = mark; return; }
  if (x.data.byteOffset < mark) { top = mark; return x; }
  new Uint8Array(memory.buffer).copyWithin(mark, x.data.byteOffset, x.data.byteOffset + x.data.byteLength);
  top = mark;
  return {...x, data: numbers(x.data.length)};
}

function multiply(a, b, c) {  // c += a b, for a [m, k], b [k, n], c [m, n]
  product(a.data.byteOffset, 4 * a.stride, b.data.byteOffset, 4 * b.stride, c.data.byteOffset, 4 * c.stride,
          c.rows, c.columns, a.columns);
}

function add(x, y) {  // x += y
  for (let k = 0; k < x.data.length; k++) x.data[k] += y.data[k];
  return x;
}

function stack(latents, C, h, w) {  // a list of B arrays, each flat, [C, h, w], as one matrix [C, B*h*w]
  const x = {...matrix(C, latents.length * h * w), shape: [latents.length, h, w]};
  latents.forEach((z, b) => {
    for (let c = 0; c < C; c++) x.data.set(z.subarray(c * h * w, (c + 1) * h * w), c * x.stride + b * h * w);
  });
  return x;
}

function unstack(x) {  // and back
  const [B, h, w] = x.shape;
  return Array.from({length: B}, (_, b) => {
    const z = new Float32Array(x.rows * h * w);
    for (let c = 0; c < x.rows; c++) {
      const from = c * x.stride + b * h * w;
      z.set(x.data.subarray(from, from + h * w), c * h * w);
    }
    return z;
  });
}

// ---- weights

const fromHalf = new Float32Array(65536);  // the value of each fp16 number
for (let h = 0; h < 65536; h++) {
  const exponent = h >> 10 & 31, fraction = h & 1023;
  const size = exponent === 31 ? (fraction ? NaN : Infinity)
    : exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  fromHalf[h] = h >> 15 ? -size : size;
}

export function halves(buffer, start = 0, n = (buffer.byteLength - start) >> 1) {  // n fp16 numbers as fp32
  const bits = new Uint16Array(buffer.slice(start, start + 2 * n)), out = new Float32Array(n);
  for (let k = 0; k < n; k++) out[k] = fromHalf[bits[k]];
  return out;
}

// safetensors: the length of the header (8 bytes), the header (JSON: type, shape and place of each tensor),
// numbers
export function readSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true)), weights = {};
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  delete header.__metadata__;
  for (const [name, {dtype, shape, data_offsets: [from, to]}] of Object.entries(header)) {
    if (dtype !== 'F16' && dtype !== 'F32') throw new Error(`${name} has the type ${dtype}, not F16 or F32`);
    const start = 8 + length + from, end = 8 + length + to, half = dtype === 'F16';
    const [rows, ...others] = shape, columns = others.reduce((a, b) => a * b, 1);  // [C', C*3*3]
    const data = numbers(rows * columns);
    data.set(half ? halves(buffer, start, data.length) : new Float32Array(buffer.slice(start, end)));
    weights[name] = {rows, columns, stride: columns, data};
  }
  return weights;
}

// ---- layers; each reads the weights whose names begin with `name`

const has = (net, name) => name + '.weight' in net.weights;

function linear(net, name, x) {  // [C, n] -> [C', n]
  const weight = net.weights[name + '.weight'], bias = net.weights[name + '.bias'];
  const y = matrix(weight.rows, x.columns);
  if (bias) for (let r = 0; r < y.rows; r++) y.data.fill(bias.data[r], r * y.stride, (r + 1) * y.stride);
  multiply(weight, x, y);
  return y;
}

// A 3 x 3 convolution is a product of matrices, too (im2col): a position's column holds all numbers that its
// output depends on, 9 of each channel. It is made and used for a few rows of the image at a time, which stay
// in the cache.
function conv(net, name, x, stride = 1) {  // [C, B*h*w] -> [C', B*h'*w']
  const weight = net.weights[name + '.weight'], bias = net.weights[name + '.bias'], [B, h, w] = x.shape;
  const taps = weight.columns / x.rows, size = Math.sqrt(taps), pad = size >> 1;
  if (size === 1) return {...linear(net, name, x), shape: x.shape};
  const shape = [B, Math.ceil(h / stride), Math.ceil(w / stride)], [, H, W] = shape;
  const y = {...matrix(weight.rows, B * H * W), shape};
  for (let r = 0; r < y.rows; r++) y.data.fill(bias.data[r], r * y.stride, (r + 1) * y.stride);
  forget(() => {
    let step = 1;
    while (step * W % 8) step++;  // the kernel wants a multiple of 8 columns, except at the end
    const band = Math.max(1, Math.floor(65536 / (weight.columns * W * step))) * step, all = B * H;
    // 8 columns too many: rows at a distance of a power of 2 would fight for the same places in the cache
    const patches = matrix(weight.columns, Math.min(band, all) * W + 8);
    for (let first = 0; first < all; first += band) {
      const rows = Math.min(band, all - first);
      for (let c = 0, k = 0; c < x.rows; c++)
        for (let dy = -pad; dy <= pad; dy++)
          for (let dx = -pad; dx <= pad; dx++, k++)
            copyTap(x, c, dy, dx, stride, first, rows, shape, patches, k);
      multiply(weight, patches, part(y, 0, first * W, y.rows, rows * W));
    }
  });
  return y;
}

function copyTap(x, c, dy, dx, stride, first, rows, [, H, W], patches, k) {  // one row of `patches`
  const [, h, w] = x.shape, from = x.data, to = patches.data;
  const begin = Math.max(0, Math.ceil(-dx / stride));  // outside of `begin` to `end` there is padding
  const end = Math.min(W, Math.floor((w - 1 - dx) / stride) + 1);
  for (let r = 0; r < rows; r++) {
    const b = Math.floor((first + r) / H), y = (first + r) % H * stride + dy;
    const at = k * patches.stride + r * W, source = c * x.stride + (b * h + y) * w + dx;
    if (y < 0 || y >= h) { to.fill(0, at, at + W); continue; }
    for (let i = 0; i < begin; i++) to[at + i] = 0;
    for (let i = begin; i < end; i++) to[at + i] = from[source + i * stride];
    for (let i = end; i < W; i++) to[at + i] = 0;
  }
}

const silu = x => x / (1 + Math.exp(-x));
const quickGelu = x => x / (1 + Math.exp(-1.702 * x));
function gelu(x) {  // x times the normal distribution function (Abramowitz & Stegun 7.1.26)
  const z = Math.abs(x) * Math.SQRT1_2, t = 1 / (1 + 0.3275911 * z);
  let series = 1.061405429;
  for (const a of [-1.453152027, 1.421413741, -0.284496736, 0.254829592, 0]) series = series * t + a;
  const tail = series * Math.exp(-z * z) / 2;
  return x * (x < 0 ? tail : 1 - tail);
}

function each(x, f) {  // apply a function to every number, in place
  for (let k = 0; k < x.data.length; k++) x.data[k] = f(x.data[k]);
  return x;
}

// The numbers of each group of channels, of one image, are brought to mean 0 and variance 1.
function groupNorm(net, name, x, groups, eps, silu = false) {
  const weight = net.weights[name + '.weight'].data, bias = net.weights[name + '.bias'].data;
  const y = {...matrix(x.rows, x.columns), shape: x.shape};
  const B = x.shape[0], n = x.columns / B, size = x.rows / groups;
  for (let b = 0; b < B; b++) for (let g = 0; g < groups; g++) {
    let sum = 0, squares = 0;
    for (let c = g * size; c < (g + 1) * size; c++)
      for (let k = c * x.stride + b * n, end = k + n; k < end; k++) sum += x.data[k];
    const mean = sum / (size * n);
    for (let c = g * size; c < (g + 1) * size; c++)
      for (let k = c * x.stride + b * n, end = k + n; k < end; k++) squares += (x.data[k] - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / (size * n) + eps);
    for (let c = g * size; c < (g + 1) * size; c++) {
      const slope = scale * weight[c], offset = bias[c] - mean * slope;
      for (let k = c * x.stride + b * n, end = k + n; k < end; k++) {
        const value = x.data[k] * slope + offset;
        y.data[k] = silu ? value / (1 + Math.exp(-value)) : value;
      }
    }
  }
  return y;
}

function layerNorm(net, name, x, eps) {  // the same for the numbers of each position
  const weight = net.weights[name + '.weight'].data, bias = net.weights[name + '.bias'].data;
  const y = matrix(x.rows, x.columns), [mean, scale] = [0, 0].map(() => new Float64Array(x.columns));
  for (let r = 0; r < x.rows; r++)
    for (let k = 0; k < x.columns; k++) mean[k] += x.data[r * x.stride + k] / x.rows;
  for (let r = 0; r < x.rows; r++)
    for (let k = 0; k < x.columns; k++) scale[k] += (x.data[r * x.stride + k] - mean[k]) ** 2 / x.rows;
  for (let k = 0; k < x.columns; k++) scale[k] = 1 / Math.sqrt(scale[k] + eps);
  for (let r = 0; r < x.rows; r++) for (let k = 0; k < x.columns; k++)
    y.data[r * y.stride + k] = (x.data[r * x.stride + k] - mean[k]) * scale[k] * weight[r] + bias[r];
  return y;
}

// Attention: every position's query is compared with all keys; a softmax turns that into weights that add up
// to 1, and these take the mean of the values. `keys` and `values` are lists with one matrix for each image
// (or prompt).
function attend(q, keys, values, heads, causal = false, watch = null) {
  const out = matrix(q.rows, q.columns), n = q.columns / keys.length, d = q.rows / heads;
  for (let b = 0; b < keys.length; b++) for (let head = 0; head < heads; head++) forget(() => {
    const m = keys[b].columns, transposed = matrix(m, d), weights = matrix(m, n), mean = matrix(d, n);
    for (let c = 0; c < d; c++) for (let i = 0; i < m; i++) {
      const key = keys[b].data[(head * d + c) * keys[b].stride + i];
      transposed.data[i * transposed.stride + c] = key / Math.sqrt(d);
    }
    multiply(transposed, part(q, head * d, b * n, d, n), weights);  // [m keys, n queries]
    softmax(weights, causal);
    if (watch) watch(weights, b, head);
    multiply(part(values[b], head * d, 0, d, m), weights, mean);
    for (let c = 0; c < d; c++) {
      const row = mean.data.subarray(c * mean.stride, c * mean.stride + n);
      out.data.set(row, (head * d + c) * out.stride + b * n);
    }
  });
  return out;
}

function softmax(x, causal) {  // down each column; causal: query j sees the keys 0 to j only
  for (let j = 0; j < x.columns; j++) {
    const end = causal ? Math.min(x.rows, j + 1) : x.rows;
    let most = -Infinity, sum = 0;
    for (let i = 0; i < end; i++) most = Math.max(most, x.data[i * x.stride + j]);
    for (let i = 0; i < end; i++) sum += x.data[i * x.stride + j] = Math.exp(x.data[i * x.stride + j] - most);
    for (let i = 0; i < x.rows; i++) x.data[i * x.stride + j] = i < end ? x.data[i * x.stride + j] / sum : 0;
  }
}

function images(x, B) {  // a matrix as a list of one for each image
  const n = x.columns / B;
  return Array.from({length: B}, (_, b) => part(x, 0, b * n, x.rows, n));
}

function resBlock(net, name, x, groups, eps, shifts = null) {  // two convolutions, added to the input
  return forget(() => {
    let h = conv(net, name + '.conv1', groupNorm(net, name + '.norm1', x, groups, eps, true));
    if (shifts) addToRows(h, shifts[name]);  // what the timestep adds to each channel
    h = conv(net, name + '.conv2', groupNorm(net, name + '.norm2', h, groups, eps, true));
    return add(h, net.weights[name + '.conv_shortcut.weight'] ? conv(net, name + '.conv_shortcut', x) : x);
  });
}

function addToRows(x, values) {
  for (let r = 0; r < x.rows; r++)
    for (let k = r * x.stride, end = k + x.stride; k < end; k++) x.data[k] += values[r];
}

function upsample(x) {  // every position four times: [C, B*h*w] -> [C, B*2h*2w]
  const [B, h, w] = x.shape, y = {...matrix(x.rows, 4 * x.columns), shape: [B, 2 * h, 2 * w]};
  for (let c = 0; c < x.rows; c++) for (let r = 0; r < 2 * B * h; r++) for (let k = 0; k < 2 * w; k++)
    y.data[c * y.stride + r * 2 * w + k] = x.data[c * x.stride + (r >> 1) * w + (k >> 1)];
  return y;
}

function concatenate(x, y) {  // the channels of x, then those of y
  const both = {...matrix(x.rows + y.rows, x.columns), shape: x.shape};
  both.data.set(x.data.subarray(0, x.rows * x.stride));
  both.data.set(y.data.subarray(0, y.rows * y.stride), x.rows * x.stride);
  return both;
}

// ---- chapter 02: the text encoder

// `rows`: for each of the 77 ids, its row of the token embedding matrix. Gives the embeddings, flat, [D, 77].
export function encodeText(net, rows) {
  const {num_attention_heads: heads, layer_norm_eps: eps, hidden_act} = net.config;
  const activation = hidden_act === 'quick_gelu' ? quickGelu : gelu;
  const end = 'embeddings.position_embedding.weight';
  const name = Object.keys(net.weights).find(n => n.endsWith(end));
  const model = name.slice(0, -end.length), position = net.weights[name];  // 'text_model.' or no prefix
  let embeddings;
  forget(() => {
    let x = matrix(position.columns, rows.length);
    rows.forEach((row, k) => {
      const place = position.data.subarray(k * x.rows);
      for (let c = 0; c < x.rows; c++) x.data[c * x.stride + k] = row[c] + place[c];
    });
    for (let k = 0; has(net, `${model}encoder.layers.${k}.layer_norm1`); k++) {
      const layer = `${model}encoder.layers.${k}`;
      const project = p => linear(net, `${layer}.self_attn.${p}_proj`, h);
      let h = layerNorm(net, layer + '.layer_norm1', x, eps);
      h = attend(project('q'), [project('k')], [project('v')], heads, true);
      x = add(project('out'), x);
      h = each(linear(net, layer + '.mlp.fc1', layerNorm(net, layer + '.layer_norm2', x, eps)), activation);
      x = add(linear(net, layer + '.mlp.fc2', h), x);
    }
    x = layerNorm(net, model + 'final_layer_norm', x, eps);
    embeddings = unstack({...x, shape: [1, 1, rows.length]})[0];
  });
  return embeddings;
}

// ---- chapter 06: the U-Net

function sinusoids(t, {block_out_channels: [channels], freq_shift, flip_sin_to_cos}) {  // falling frequency
  const half = channels / 2, waves = matrix(channels, 1);
  for (let k = 0; k < half; k++) {
    const angle = Math.fround(t) * Math.fround(Math.exp(-Math.log(10000) * k / (half - freq_shift)));
    const [first, second] = flip_sin_to_cos ? [Math.cos, Math.sin] : [Math.sin, Math.cos];
    waves.data[k * waves.stride] = first(angle);
    waves.data[(half + k) * waves.stride] = second(angle);
  }
  return waves;
}

function timeEmbeddings(net, t) {  // what a timestep adds to the channels of each ResNet block, by its name
  let h = each(linear(net, 'time_embedding.linear_1', sinusoids(t, net.config)), silu);
  h = each(linear(net, 'time_embedding.linear_2', h), silu);
  const end = '.time_emb_proj.weight', names = Object.keys(net.weights).filter(n => n.endsWith(end));
  const blocks = names.map(n => n.slice(0, -end.length));
  return Object.fromEntries(blocks.map(name => {
    const x = linear(net, name + '.time_emb_proj', h);
    return [name, Array.from({length: x.rows}, (_, r) => x.data[r * x.stride])];
  }));
}

// Every position attends to its whole image (attn1), then to the prompt (attn2); then comes an MLP (GEGLU).
function transformer(net, name, x, texts, heads, watch) {
  return forget(() => {
    const eps = 1e-5, B = x.shape[0], groups = net.config.norm_num_groups;
    let tokens = linear(net, name + '.proj_in', groupNorm(net, name + '.norm', x, groups, 1e-6));
    for (let i = 0; has(net, `${name}.transformer_blocks.${i}.norm1`); i++) {
      const block = `${name}.transformer_blocks.${i}`, self = block + '.attn1', cross = block + '.attn2';
      let h = layerNorm(net, block + '.norm1', tokens, eps);
      const [q, keys, values] = ['q', 'k', 'v'].map(p => linear(net, `${self}.to_${p}`, h));
      h = attend(q, images(keys, B), images(values, B), heads);
      tokens = add(linear(net, self + '.to_out.0', h), tokens);

      const queries = linear(net, cross + '.to_q', layerNorm(net, block + '.norm2', tokens, eps));
      const see = watch && ((weights, b, head) => watch(cross, {weights, b, head, shape: x.shape}));
      const [k, v] = ['k', 'v'].map(p => texts.map(text => linear(net, `${cross}.to_${p}`, text)));
      h = attend(queries, k, v, heads, false, see);
      tokens = add(linear(net, cross + '.to_out.0', h), tokens);

      h = linear(net, block + '.ff.net.0.proj', layerNorm(net, block + '.norm3', tokens, eps));
      const gated = matrix(h.rows / 2, h.columns), gate = h.data.subarray(gated.rows * h.stride);
      for (let j = 0; j < gated.rows * h.stride; j++) gated.data[j] = h.data[j] * gelu(gate[j]);
      tokens = add(linear(net, block + '.ff.net.2', gated), tokens);
    }
    return {...add(linear(net, name + '.proj_out', tokens), x), shape: x.shape};
  });
}

// Predict the noise in latents of unit variance, block by block. `latents`: a list of B, flat, [C, h, w];
// `texts`: for each of them the embeddings of its prompt, from `encodeText`. `watch(name, value)` is shown
// the output of each layer, and of each cross-attention the weights, one head of one image at a time.
export function predictNoise(net, latents, [h, w], t, texts, watch = null) {
  const {norm_num_groups: groups, norm_eps: eps, down_block_types: {length: levels}} = net.config;
  const heads = net.config.num_attention_heads ?? net.config.attention_head_dim;  // the old name of the same
  const headsAt = level => Array.isArray(heads) ? heads[level] : heads;
  let noise;
  forget(() => {
    const D = net.config.cross_attention_dim, shifts = timeEmbeddings(net, t);
    const prompts = texts.map(text => stack([text], D, 1, text.length / D));
    const see = (name, x) => { if (watch) watch(name, x); return x; };
    const layer = (block, k, level, x) => {
      x = see(`${block}.resnets.${k}`, resBlock(net, `${block}.resnets.${k}`, x, groups, eps, shifts));
      const attention = `${block}.attentions.${k}`;
      if (!has(net, attention + '.norm')) return x;
      return see(attention, transformer(net, attention, x, prompts, headsAt(level), watch));
    };
    let x = conv(net, 'conv_in', stack(latents, net.config.in_channels, h, w));
    const skips = [x];
    for (let level = 0; level < levels; level++) {
      const block = `down_blocks.${level}`, down = block + '.downsamplers.0.conv';
      for (let k = 0; has(net, `${block}.resnets.${k}.conv1`); k++) skips.push(x = layer(block, k, level, x));
      if (has(net, down)) skips.push(x = forget(() => conv(net, down, x, 2)));  // [.., h/2, w/2]
    }
    for (let k = 0; has(net, `mid_block.resnets.${k}.conv1`); k++) x = layer('mid_block', k, levels - 1, x);
    for (let level = levels - 1; level >= 0; level--) {
      const block = `up_blocks.${levels - 1 - level}`, up = block + '.upsamplers.0.conv';
      for (let k = 0; has(net, `${block}.resnets.${k}.conv1`); k++) {
        x = layer(block, k, level, concatenate(x, skips.pop()));
      }
      if (has(net, up)) x = forget(() => conv(net, up, upsample(x)));  // [.., 2h, 2w]
    }
    x = conv(net, 'conv_out', groupNorm(net, 'conv_norm_out', x, groups, eps, true));
    noise = unstack(x);
  });
  return noise;
}

// ---- chapter 03: the VAE's decoder

// Latents of unit variance, flat, [C, h, w], become an image in [-1, 1], flat, [3, H, W].
export function decode(net, latents, [h, w]) {
  const {norm_num_groups: groups, latent_channels, scaling_factor} = net.config, eps = 1e-6;
  let image;
  forget(() => {
    let x = stack([latents.map(z => z / scaling_factor)], latent_channels, h, w);
    if (has(net, 'post_quant_conv')) x = conv(net, 'post_quant_conv', x);
    x = conv(net, 'decoder.conv_in', x);
    for (let k = 0; has(net, `decoder.mid_block.resnets.${k}.conv1`); k++) {
      const attention = `decoder.mid_block.attentions.${k - 1}`;
      if (has(net, attention + '.to_q')) x = imageAttention(net, attention, x, groups, eps);
      x = resBlock(net, `decoder.mid_block.resnets.${k}`, x, groups, eps);
    }
    for (let level = 0; has(net, `decoder.up_blocks.${level}.resnets.0.conv1`); level++) {
      const block = `decoder.up_blocks.${level}`, up = block + '.upsamplers.0.conv';
      x = forget(() => {
        for (let k = 0; has(net, `${block}.resnets.${k}.conv1`); k++)
          x = resBlock(net, `${block}.resnets.${k}`, x, groups, eps);
        return has(net, up) ? conv(net, up, upsample(x)) : x;  // [C, 2h, 2w]
      });
    }
    x = conv(net, 'decoder.conv_out', groupNorm(net, 'decoder.conv_norm_out', x, groups, eps, true));
    image = unstack(x)[0];
  });
  return image;
}

function imageAttention(net, name, x, groups, eps) {  // every position attends to all; in one head
  return forget(() => {
    const tokens = groupNorm(net, name + '.group_norm', x, groups, eps);
    const [q, k, v] = ['q', 'k', 'v'].map(p => linear(net, `${name}.to_${p}`, tokens));
    return {...add(linear(net, name + '.to_out.0', attend(q, [k], [v], 1)), x), shape: x.shape};
  });
}

// ---- what a model needs

export function latentSize({unet: {sample_size: size}}) { return Array.isArray(size) ? size : [size, size]; }

export function memoryFor(config, bytes) {  // in bytes, for so many bytes of fp16 weights
  const [h, w] = latentSize(config), channels = config.vae.block_out_channels, top = channels.length - 1;
  const maps = channels.map((_, k) => 4 * channels[Math.min(k + 1, top)] * h * w * 4 ** (top - k));
  return 2 * bytes + 8 * Math.max(...maps) + 2 ** 25;  // eight of the decoder's largest maps, and the rest
}
