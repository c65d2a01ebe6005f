// The page "Try it": settings, images and a slider. The work is done in worker.js; nothing is fetched before
// a button that says how much is pressed.

import {SCHEDULERS} from './schedulers.js';
import {supported} from './sd.js';

const root = document.getElementById('live'), find = id => root.querySelector('#live-' + id);
const KINDS = {  // the four small images
  input: ['Model input', 'noisy latents of unit variance, decoded'],
  uncond: ['Unconditional', 'predicted x0 without the prompt'],
  text: ['Conditional', 'predicted x0 with the prompt'],
  guided: ['Guided', 'predicted x0 after guidance'],
};

const FOUR = Object.entries(KINDS).map(([kind, [name, what]]) => `
  <figure id="live-${kind}">
    <canvas role="img"></canvas><figcaption><b>${name}</b> ${what}</figcaption>
  </figure>`).join('');

const PAGE = `
<form id="live-form" aria-label="Settings">
  <label class="wide">Prompt <input id="live-prompt" name="prompt" autocomplete="off"></label>
  <label>Seed <input id="live-seed" name="seed" inputmode="numeric" pattern="[0-9]{1,18}" required></label>
  <label>Steps <input id="live-steps" name="steps" type="number" min="1" max="100" required></label>
  <label>Guidance scale
    <input id="live-guidance" name="guidance" type="number" min="0" max="30" step="any" required></label>
  <label>Scheduler <select id="live-scheduler" name="scheduler"></select></label>
  <div class="wide live-buttons">
    <button type="submit" id="live-go"></button>
    <button type="button" id="live-cancel" hidden>Cancel</button>
    <progress id="live-progress" aria-label="Progress" max="1" value="0" hidden></progress>
  </div>
</form>
<p id="live-status" role="status"></p>
<div id="live-result" hidden>
  <div class="live-pair">
    <figure id="live-before" hidden><canvas role="img"></canvas><figcaption></figcaption></figure>
    <figure id="live-now"><canvas role="img"></canvas><figcaption></figcaption></figure>
  </div>
  <p id="live-keep-row" hidden><label><input type="checkbox" id="live-keep"> Keep the left image for the next
    comparison</label></p>
  <div class="live-steps">
    <label for="live-step">Step</label>
    <input type="range" id="live-step" min="1" max="1" value="1">
    <output id="live-about" for="live-step"></output>
  </div>
  <div class="live-four" role="group" aria-label="This step, decoded">${FOUR}</div>
  <p class="live-buttons"><button type="button" id="live-continue"></button>
    <span>Change the prompt or the guidance scale above first: the earlier steps stay.</span></p>
  <div class="live-words">
    <figure id="live-map" hidden><canvas role="img"></canvas></figure>
    <div>
      <p id="live-words-label">Cross-attention: choose a token to see which positions attend to it at
        this step.</p>
      <div id="live-tokens" role="group" aria-labelledby="live-words-label"></div>
      <p id="live-share" role="status"></p>
    </div>
  </div>
</div>`;

const says = {
  simd: 'This browser cannot run the model: it has no WebAssembly SIMD. Chrome 91, Firefox 114, Safari 16.4 '
    + 'and later versions have it. The stored images below show one such experiment.',
  unprepared: 'The model is not part of this copy of the site: “python .ci/docs.py” builds the site with it. '
    + 'The stored images below show one such experiment.',
  network: 'The model could not be fetched. Is there a connection? Then try again.',
  words: 'Some of these words have not been used before, and their embeddings could not be fetched. Is there '
    + 'a connection? Prompts that were used before still work.',
  missing: 'A file of the model is missing on this site, so the page cannot generate images.',
};
const unknown = message =>
  `Something went wrong that this page did not expect: ${message}. Reload it to start over.`;

let config, worker = null, loaded = false, running = false, next = 1, ticket = 0;
let now = null, before = null;  // two runs: {id, settings, first, tokens, steps, pictures, done}
let token = null;               // the chosen one

// ---- settings, which are also in the address

function defaults() {
  const guidance = String(config.guidance_scale);
  return {prompt: 'a frog on a purple background', seed: '0', steps: '25', guidance, scheduler: 'lms'};
}

function setForm(settings) {
  for (const name of Object.keys(defaults()))  // an address may hold anything
    if (name !== 'scheduler' || settings.scheduler in SCHEDULERS) find(name).value = settings[name];
}

function getForm() { return Object.fromEntries(new FormData(find('form'))); }

function fromAddress(search) { return {...defaults(), ...Object.fromEntries(new URLSearchParams(search))}; }

// ---- talking to the worker

function start() {
  worker = new Worker(new URL('worker.js', import.meta.url), {type: 'module'});
  worker.onmessage = ({data}) => receive[data.type](data);
  worker.onerror = event => fail(unknown(event.message || 'the worker did not start'));
  say('Loading the model ...');
  busy(true);
  worker.postMessage({type: 'load', config});
}

function generate(from = null) {
  if (!find('form').reportValidity()) { busy(false); return; }
  const settings = getForm();
  if (from) setForm(Object.assign(settings, from.kept));
  history.replaceState(null, '', '?' + new URLSearchParams(settings));
  const old = now?.done && !(before && find('keep').checked) ? before : now;  // no longer needed
  if (old !== now) before = now;
  const first = from?.index ?? 0, steps = from ? from.steps.slice(0, first) : [];
  now = {id: next++, settings, first, steps, tokens: [], pictures: new Map(), done: false};
  busy(true);
  say('');
  worker.postMessage({
    type: 'generate', id: now.id, ...settings,
    steps: Number(settings.steps), guidance: Number(settings.guidance),
    from: from && {run: from.run, index: first},
  });
  if (old) worker.postMessage({type: 'forget', run: old.id});
}

const receive = {
  loading({loaded, total}) { find('progress').value = loaded / total; },
  ready() { loaded = true; generate(); },
  started({id, tokens, cut}) {
    if (now?.id !== id) return;
    Object.assign(now, {tokens, cut});
    find('result').hidden = false;
    find('step').max = now.settings.steps;
    showTokens();
    showSettings();
  },
  step({id, index, timestep, sigma, pixels}) {
    if (now?.id !== id || !running) return;
    now.steps[index] = {timestep, sigma};
    if (pixels) now.pictures.set(`${index} guided`, pixels);
    find('progress').value = (index + 1) / now.settings.steps;
    find('step').value = index + 1;
    show();
  },
  done({id, pixels, seconds}) {
    if (now?.id !== id || !running) return;
    now.pictures.set(`${now.steps.length - 1} final`, pixels);
    now.done = true;
    busy(false);
    const steps = now.steps.length - now.first;
    const cut = now.cut > 0 ? ` The prompt is too long: ${now.cut} of its tokens were truncated.` : '';
    say(`${steps} ${steps === 1 ? 'step' : 'steps'} in ${seconds.toFixed(1)} s.${cut}`);
    root.dataset.seconds = seconds;
    show();
    ask();
  },
  cancelled() {},
  picture({run, index, kind, pixels}) {
    for (const r of [now, before]) if (r?.id === run) r.pictures.set(`${index} ${kind}`, pixels);
    show();
  },
  attention(data) {
    if (data.run !== now?.id) return;
    now.attention = data;
    showMap();
  },
  error({during, id, message}) {
    if (id && id !== now?.id) return;
    if (message === 'network') fail(during === 'load' ? says.network : says.words);
    else if (message.startsWith('missing')) fail(says.missing);
    else fail(unknown(message));
    if (during === 'load') { worker.terminate(); worker = null; }
    if (during === 'generate') { now = null; find('result').hidden = true; }
  },
};

function cancel() {  // the page is free at once; the worker stops after the step that it is at
  worker.postMessage({type: 'cancel'});
  if (!loaded) { worker.terminate(); worker = null; }
  busy(false);
  say('Cancelled.');
  if (now) { ask(); show(); }
}

// ---- what is shown

function say(text) { find('status').textContent = text; find('status').classList.remove('live-problem'); }

function fail(text) {
  busy(false);
  say(text);
  find('status').classList.add('live-problem');
}

function busy(yes) {
  running = yes;
  find('go').disabled = yes;
  find('go').textContent = loaded ? 'Generate' : `Load the model (${megabytes()} MB) and generate`;
  find('cancel').hidden = find('progress').hidden = !yes;
  find('progress').value = 0;
  find('continue').disabled = yes || !now?.steps.length;
}

function megabytes() { return Math.round(Object.values(config.files).reduce((a, b) => a + b, 0) / 1e6); }

function paint(figure, pixels, label) {
  const canvas = figure.querySelector('canvas');
  canvas.setAttribute('aria-label', label);
  canvas.classList.toggle('live-stale', !pixels && !(running && figure === find('now')));
  if (!pixels) return;
  const side = Math.sqrt(pixels.length / 4);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  canvas.getContext('2d').putImageData(new ImageData(pixels, side), 0, 0);
}

function stepOf(run) {  // the index of the chosen step; the other run may have another number of steps
  const share = find('step').value / find('step').max, last = run.steps.length - 1;
  return Math.max(0, Math.min(last, Math.round(share * run.settings.steps) - 1));
}
const kindOf = (run, index) => run.done && index === run.steps.length - 1 ? 'final' : 'guided';

function show() {
  for (const [run, name] of [[now, 'now'], [before, 'before']]) {
    if (!run?.steps.length) continue;
    const index = stepOf(run), {prompt, seed, steps} = run.settings;
    const label = `${prompt}, seed ${seed}, step ${index + 1} of ${steps}`;
    paint(find(name), run.pictures.get(`${index} ${kindOf(run, index)}`), label);
    if (run !== now) continue;
    const {timestep, sigma} = run.steps[index], t = Math.round(timestep);
    const about = `${index + 1} of ${steps}, timestep ${t}, noise level ${sigma.toPrecision(3)}`;
    find('about').textContent = about;
    find('step').setAttribute('aria-valuetext', about);
    find('continue').textContent = `Continue from step ${index + 1}`;
    for (const [kind, [what]] of Object.entries(KINDS))
      paint(find(kind), run.pictures.get(`${index} ${kind}`), `${what}: ${label}`);
  }
  find('before').hidden = find('keep-row').hidden = !before;
  showMap();
}

function ask() {  // for the pictures that are missing at the chosen step
  const wants = [];
  for (const run of [now, before]) {
    if (!run?.steps.length) continue;
    const index = stepOf(run);
    for (const kind of new Set([kindOf(run, index), ...(run === now ? Object.keys(KINDS) : [])]))
      if (!run.pictures.has(`${index} ${kind}`)) wants.push({run: run.id, index, kind});
  }
  if (wants.length) worker.postMessage({type: 'look', ticket: ++ticket, wants});
  if (token !== null && now.attention?.index !== stepOf(now))
    worker.postMessage({type: 'attention', ticket: ++ticket, run: now.id, index: stepOf(now)});
}

function describe({settings: {prompt, seed, steps, guidance, scheduler}, first}) {
  const from = first ? `, from step ${first + 1} on` : '';
  const how = `guidance ${guidance}, ${SCHEDULERS[scheduler].label}, ${steps} steps`;
  return `“${prompt}”${from}, seed ${seed}, ${how}`;
}

function showSettings() {
  find('now').querySelector('figcaption').textContent = describe(now);
  if (before) find('before').querySelector('figcaption').textContent = describe(before);
}

// ---- tokens and cross-attention

function showTokens() {
  const words = now.tokens.slice(1, -1).map(t => t.replace('</w>', ''));
  const buttons = ['start', ...words, 'end', 'padding'].map((name, k) => {
    const button = document.createElement('button');
    Object.assign(button, {type: 'button', textContent: name});
    button.setAttribute('aria-pressed', 'false');
    button.onclick = () => {
      token = token === k ? null : k;
      pressToken();
      if (!running) ask();
      showMap();
    };
    return button;
  });
  token = null;
  find('tokens').replaceChildren(...buttons);
  pressToken();
}

function pressToken() {
  for (const [k, button] of [...find('tokens').children].entries())
    button.setAttribute('aria-pressed', String(k === token));
}

function showMap() {
  const attention = now?.attention, ready = token !== null && attention?.index === stepOf(now);
  find('map').hidden = !ready;
  find('share').textContent = token !== null && !ready ? 'Looking ...' : '';
  if (!ready) return;
  const {h, w, maps} = attention, last = token === now.tokens.length ? maps.length / (h * w) : token + 1;
  const map = new Float32Array(h * w);  // of the token, or of all of the padding
  for (let t = token; t < last; t++) for (let k = 0; k < h * w; k++) map[k] += maps[t * h * w + k];
  const most = Math.max(...map), least = Math.min(...map), mean = map.reduce((a, b) => a + b, 0) / map.length;
  const name = find('tokens').children[token].textContent;
  const percent = x => (100 * x).toFixed(1) + ' %';
  find('share').textContent = `“${name}” gets ${percent(mean)} of the attention on average, `
    + `${percent(least)} at the darkest and ${percent(most)} at the brightest position.`;
  const pixels = new Uint8ClampedArray(4 * h * w);
  map.forEach((v, k) => pixels.set([255, 200, 40, 230 * (v - least) / (most - least || 1)], 4 * k));
  const canvas = find('map').querySelector('canvas');
  canvas.setAttribute('aria-label', `Cross-attention: ${find('share').textContent}`);
  const image = find('guided').querySelector('canvas'), side = canvas.width = canvas.height = image.width;
  const context = canvas.getContext('2d');
  context.filter = 'grayscale(1) brightness(0.4)';
  context.drawImage(image, 0, 0);
  createImageBitmap(new ImageData(pixels, w)).then(heat => {
    context.filter = 'none';
    context.imageSmoothingEnabled = false;
    context.drawImage(heat, 0, 0, side, side);
  });
}

// ---- begin

async function begin() {
  try { config = (await import('./model/config.js')).default; } catch { config = null; }
  root.innerHTML = PAGE;
  root.classList.add('live-ready');
  for (const [name, {label}] of Object.entries(SCHEDULERS)) find('scheduler').add(new Option(label, name));
  if (!config || !supported() || !globalThis.Worker) {
    find('form').hidden = true;
    find('status').textContent = config ? says.simd : says.unprepared;
    find('status').classList.add('live-problem');
    return;
  }
  setForm(fromAddress(location.search));
  busy(false);
  find('form').onsubmit = event => {
    event.preventDefault();
    if (!running) loaded ? generate() : start();
  };
  find('cancel').onclick = cancel;
  find('step').oninput = () => { show(); if (!running) ask(); };
  find('continue').onclick = () => {
    const {steps, seed, scheduler} = now.settings;
    generate({run: now.id, index: stepOf(now), steps: now.steps, kept: {steps, seed, scheduler}});
  };
  for (const link of document.querySelectorAll('main a[href^="?"]')) link.onclick = event => {  // no reload
    event.preventDefault();
    if (running) cancel();
    setForm(fromAddress(new URL(link.href).search));
    root.scrollIntoView();
    if (loaded) generate(); else find('go').focus();
  };
}

begin();
