// The model, away from the page, so that the page can be used meanwhile. It receives {type, ...} and answers
// with {type, ...}: see `actions`.

import * as sd from './sd.js';
import {makeTokenizer} from './tokenizer.js';
import {normalNoise} from './random.js';
import {denoiseSteps} from './schedulers.js';

const FOLDER = new URL('model/', import.meta.url), ROWS = 256;  // see embeddingRows
const runs = new Map();  // id -> what a run found out at each step
const embeddingFiles = new Map();
let config, cache, nets, tokenizer, size, padding, latest = 0, newestLook = 0, newestAttention = 0;

// ---- files: from the browser's cache, or else from the site

async function get(name, onBytes = () => {}) {
  const url = new URL(name, FOLDER);
  const response = await cache?.match(url) ?? await fetch(url).catch(() => { throw new Error('network'); });
  if (!response.ok) throw new Error(`missing: ${name} (${response.status})`);
  const parts = [], reader = response.body.getReader();
  for (let next; !(next = await reader.read()).done; parts.push(next.value)) onBytes(next.value.length);
  const blob = new Blob(parts);
  await cache?.put(url, new Response(blob)).catch(() => {});  // no room: it works without
  return blob.arrayBuffer();
}

async function openCache() {  // one for each version of the model
  if (!globalThis.caches) return null;
  const name = `sdpipe-live-${config.version}`;
  try {
    const others = (await caches.keys()).filter(old => old.startsWith('sdpipe-live-') && old !== name);
    for (const old of others) await caches.delete(old);
    return await caches.open(name);
  } catch { return null; }
}

// Give each id's row of the token embedding matrix, which is cut into files: a prompt needs few of them.
async function embeddingRows(ids) {
  const D = config.text_encoder.hidden_size, fileOf = id => Math.floor(id / ROWS);
  await Promise.all([...new Set(ids.map(fileOf))].filter(k => !embeddingFiles.has(k)).map(async k => {
    embeddingFiles.set(k, sd.halves(await get(`tokens/${String(k).padStart(3, '0')}.bin`)));
  }));
  return ids.map(id => embeddingFiles.get(fileOf(id)).subarray(id % ROWS * D, (id % ROWS + 1) * D));
}

// ---- the chain

async function load(message) {
  config = message.config;
  cache = await openCache();
  const {files} = config, total = Object.values(files).reduce((a, b) => a + b, 0);
  let loaded = 0;
  const count = n => postMessage({type: 'loading', loaded: loaded += n, total});
  await sd.start(sd.memoryFor(config, total));
  const [text, unet, vae, merges] = await Promise.all(Object.keys(files).map(name => get(name, count)));
  tokenizer = makeTokenizer(new TextDecoder().decode(merges));
  nets = {
    text: {config: config.text_encoder, weights: sd.readSafetensors(text)},
    unet: {config: config.unet, weights: sd.readSafetensors(unet)},
    vae: {config: config.vae, weights: sd.readSafetensors(vae)},
  };
  size = sd.latentSize(config);
  padding = tokenizer.ids.get(config.tokenizer.pad_token);
  postMessage({type: 'ready'});
}

async function encode(prompt) {  // a prompt's tokens and embeddings
  const all = tokenizer.encode(prompt), ids = tokenizer.pad(all, config.tokenizer.model_max_length, padding);
  const embeddings = sd.encodeText(nets.text, await embeddingRows(ids));
  const tokens = ids.slice(0, all.length).map(id => tokenizer.tokens[id]);  // without the padding
  return {tokens, cut: all.length - ids.length, embeddings};
}

const breathe = () => new Promise(resolve => setTimeout(resolve));  // let messages in

function toPixels(image) {  // [3, H, W] in [-1, 1] -> RGBA
  const n = image.length / 3, pixels = new Uint8ClampedArray(4 * n).fill(255);  // which rounds and clips
  for (let c = 0; c < 3; c++)
    for (let k = 0; k < n; k++) pixels[4 * k + c] = (image[c * n + k] / 2 + 0.5) * 255;
  return pixels;
}

const decode = latents => toPixels(sd.decode(nets.vae, latents, size));

// Sample an image. With `from`, the first steps are those of another run: sampling goes on from one of its
// steps.
async function generate({id, prompt, seed, steps, guidance, scheduler, from}) {
  latest = id;
  const began = performance.now(), old = from && runs.get(from.run), first = from ? from.index : 0;
  const text = await encode(prompt), empty = await encode(''), C = config.unet.in_channels;
  const run = {text, steps: old ? old.steps.slice(0, first) : [], pictures: new Map()};
  runs.set(id, run);
  postMessage({type: 'started', id, tokens: text.tokens, cut: text.cut, first});
  const predict = (input, t) =>
    sd.predictNoise(nets.unet, [input, input], size, t, [empty.embeddings, text.embeddings]);
  const loop = denoiseSteps({
    scheduler, steps, guidance, predict, first, config: config.scheduler,
    ...(old ? {latents: old.steps[first].latents} : {noise: normalNoise(seed, C * size[0] * size[1])}),
  });
  let sampling = 0, decoding = 0;
  await breathe();
  while (latest === id) {
    const start = performance.now(), next = loop.next();
    if (next.done) {
      const pixels = picture(run, run.steps.length - 1, 'final');
      postMessage({type: 'done', id, pixels, seconds: (performance.now() - began) / 1000});
      return;
    }
    const step = next.value, middle = performance.now();
    run.steps.push(step);
    sampling += middle - start;
    const pixels = decoding <= sampling ? picture(run, step.index, 'guided') : null;  // half the time at most
    decoding += performance.now() - middle;
    const {index, timestep, sigma} = step;
    postMessage({type: 'step', id, index, timestep, sigma, pixels});
    await breathe();
  }
  postMessage({type: 'cancelled', id});
}

// Decode what a step saw or predicted: input, uncond, text, guided or (of the last one) final.
function picture(run, index, kind) {
  const key = `${index} ${kind}`, step = run.steps[index];
  if (!run.pictures.has(key)) run.pictures.set(key, decode(kind === 'final' ? step.last : step[kind]));
  return run.pictures.get(key);
}

async function look({ticket, wants}) {  // decode a list of pictures; a newer wish makes an older one void
  newestLook = ticket;
  await breathe();
  if (ticket !== newestLook) return;
  for (const {run, index, kind} of wants) {
    const step = runs.get(run)?.steps[index];
    if (!step || kind === 'final' && !step.last) continue;
    postMessage({type: 'picture', ticket, run, index, kind, pixels: picture(runs.get(run), index, kind)});
    await breathe();
    if (ticket !== newestLook) return;
  }
}

// How much does each position attend to each token? The mean over all layers and heads, [tokens, h*w].
async function attention({ticket, run: id, index}) {
  newestAttention = ticket;
  await breathe();
  if (ticket !== newestAttention) return;
  const run = runs.get(id), step = run?.steps[index];
  if (!step) return;
  const [h, w] = size, n = config.tokenizer.model_max_length, maps = new Float32Array(n * h * w);
  let layers = 0;
  sd.predictNoise(nets.unet, [step.input], size, step.timestep, [run.text.embeddings], (name, value) => {
    if (!value.weights) return;
    const {weights, shape: [, height, width]} = value;
    layers++;
    for (let token = 0; token < n; token++) for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
      const place = Math.floor(y * height / h) * width + Math.floor(x * width / w);
      maps[(token * h + y) * w + x] += weights.data[token * weights.stride + place];
    }
  });
  postMessage({type: 'attention', ticket, run: id, index, h, w, maps: maps.map(v => v / layers)});
}

const actions = {
  load, generate, look, attention,
  cancel() { latest = 0; },
  forget({run}) { runs.delete(run); },
};

onmessage = async ({data}) => {
  try { await actions[data.type](data); }
  catch (error) { postMessage({type: 'error', during: data.type, id: data.id, message: error.message}); }
};
