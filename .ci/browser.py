"""Read the built pages in a browser that cannot reach any other machine, and generate images on the page "Try it".

Usage: python .ci/browser.py [--needed] [--live] [FOLDER]; --needed makes a missing browser a failure, --live tries
that page alone"""
import random
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from time import perf_counter

import live

NEEDED = '--needed' in sys.argv
SITE = Path(next((a for a in sys.argv[1:] if not a.startswith('-')), Path(__file__).parent.parent / '_docs'))
CHROMIUM = which('chromium') or which('chromium-browser') or which('google-chrome')
SWITCHES = ('--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
            '--disable-component-update --disable-sync').split()
AXE_PAGES = 'index.html', 'vae.html', 'glossary.html', 'live.html'
LIVE = 'live.html'
PATIENCE = 900_000  # milliseconds for an image: other work may have all of the machine
IMAGES = [  # what both Python and the page generate: prompt, seed, scheduler, steps, guidance scale
    ('a frog on a purple background', 0, 'lms', 25, 3),
    ('An image of a big truck', 1, 'lms', 25, 3),
    ('a panda on a green background', 7, 'euler', 25, 3),
    ('a penguin on an orange background', 123456789, 'ddim', 25, 3),
    ('an apple on a blue background', 2**32 + 5, 'dpmpp_2m', 25, 3),
    ('a small rocket on a black background', 3, 'euler', 12, 7.5),
    ("It's the CAT's caf\u00e9!", 11, 'ddim', 10, 1),
    ('', 4, 'dpmpp_2m', 8, 3),
    ('a big tree ' * 40, 5, 'lms', 6, 5),
    ('a house on a yellow background', 6, 'dpmpp_2m', 50, 3),
]
APART = 3  # of 255: how far the two may be apart on average
# everything that is drawn has a size, and every picture has arrived
DRAWN = '''async () => {
    document.querySelectorAll('details').forEach(d => d.open = true);
    const images = [...document.images].map(i => (i.loading = 'eager', i));
    await Promise.all(images.map(i => i.decode().catch(() => 0)));
    const sizes = [...document.querySelectorAll('main math')].map(m => m.getBoundingClientRect());
    return {
        broken: images.filter(i => !i.naturalWidth).map(i => i.src),
        formulas: sizes.length,
        undrawn: sizes.filter(r => r.width < 2 || r.height < 5).length,
    };
}'''
# what sticks out of the window, and is not inside something that scrolls by itself
WIDE = '''() => {
    const held = e => {
        for (e = e.parentElement; e && e !== document.body; e = e.parentElement)
            if (/auto|scroll|hidden|clip/.test(getComputedStyle(e).overflowX) && e.id !== 'quarto-content') return true;
        return false;
    };
    const out = [...document.querySelectorAll('main *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !held(e))
        .map(e => e.tagName + '.' + e.className);
    return [document.documentElement.scrollWidth - innerWidth, out.slice(0, 3)];
}'''


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

    def copyfile(self, source, out):
        "Take it calmly when the browser hangs up: that is how it cancels."
        try: super().copyfile(source, out)
        except ConnectionError: pass


class Reader:
    "A browser, and what it complained of."

    def __init__(self, browser, home):
        self.browser, self.home, self.wrong, self.counts = browser, home, [], dict(pages=0, formulas=0, answers=0)

    def open(self, name, width=1280, scheme='light', script=''):
        "Open a page with all requests to other machines refused, and note each, and each error."
        page = self.browser.new_context(viewport={'width': width, 'height': 844}, color_scheme=scheme).new_page()
        page.add_init_script(script)
        def refuse(route):
            self.fail(name, f'asks for {route.request.url}')
            route.abort()
        page.route(lambda url: not url.startswith((self.home, 'data:')), refuse)
        page.on('console', lambda m: self.fail(name, f'console: {m.text}') if m.type in ('error', 'warning') else None)
        page.on('pageerror', lambda e: self.fail(name, f'error: {e}'))
        page.on('response', lambda r: self.fail(name, f'{r.status} for {r.url}') if r.status >= 400 else None)
        page.goto(self.home + name, wait_until='load')
        return page

    def fail(self, name, problem): self.wrong.append(f'{name}: {problem}')

    def phone(self, name):
        "No page may have to be pushed sideways, with all its answers open."
        page = self.open(name, 390, 'dark')
        got = page.evaluate(DRAWN)
        over, out = page.evaluate(WIDE)
        if over > 0 or out: self.fail(name, f'{over} pixels wider than a phone: {out}')
        if got['broken']: self.fail(name, f'pictures that do not load: {got["broken"][:3]}')
        if got['undrawn']: self.fail(name, f'{got["undrawn"]} of {got["formulas"]} formulas are not drawn')
        self.counts['pages'] += 1
        self.counts['formulas'] += got['formulas']
        page.context.close()

    def answers(self, name):
        "Each folded answer opens when it is clicked."
        page = self.open(name)
        for fold in page.query_selector_all('main details:not([open])'):
            fold.query_selector('summary').click()
            body = fold.query_selector(':scope > :not(summary)')
            hidden = body and not body.is_visible()
            if hidden or not fold.evaluate('d => d.open'): self.fail(name, 'an answer that does not open')
            self.counts['answers'] += 1
        page.context.close()

    def search(self):
        page = self.open('index.html')
        page.fill('#quarto-search input', 'classifier-free guidance')
        try: page.wait_for_selector('#quarto-search a[href*="guided_loop"]', timeout=5000)
        except Exception: self.fail('index.html', 'the search does not find classifier-free guidance in guided_loop')
        page.context.close()

    def dark(self):
        "The button changes the colours, and the next page remembers."
        page, colour = self.open('index.html'), 'getComputedStyle(document.body).backgroundColor'
        before = page.evaluate(colour)
        page.click('.quarto-color-scheme-toggle')
        page.wait_for_timeout(300)
        after = page.evaluate(colour)
        page.goto(self.home + 'vae.html')
        if before == after or page.evaluate(colour) != after:
            self.fail('index.html', f'dark mode: {before}, {after}, then {page.evaluate(colour)}')
        page.context.close()

    def axe(self, name, scheme):
        "No serious fault by the rules of axe-core."
        page = self.open(name, scheme=scheme)
        page.wait_for_timeout(300)  # the colours fade in
        self.axe_finds(page, name, scheme)
        page.context.close()

    def axe_finds(self, page, name, scheme):
        from axe_playwright_python.sync_playwright import Axe
        for v in Axe().run(page).response['violations']:
            if v['impact'] not in ('serious', 'critical'): continue
            where = v['nodes'][0]['html'][:150]
            self.fail(name, f'axe, {scheme}: {v["id"]} ({len(v["nodes"])}): {v["help"]}: {where}')


# ---- the page "Try it"

FINISHED = "document.querySelector('#live').dataset.seconds"
PIXELS = """selector => {
    const canvas = document.querySelector(selector), {width, height} = canvas;
    const copy = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, width, height).data];
}"""
CANCEL = """() => new Promise(resolve => {
    const began = performance.now(), go = document.querySelector('#live-go');
    const wait = () => go.disabled ? setTimeout(wait) : resolve(performance.now() - began);
    document.querySelector('#live-cancel').click();
    wait();
})"""
# how often the page's own thread has its turn, and how long the longest wait for it is
TURNS = """() => {
    Object.assign(window, {turns: 0, longest: 0, last: performance.now()});
    const turn = () => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        turns++;
        setTimeout(turn, 5);
    };
    turn();
}"""
TOKENIZE = """async strings => {
    const {makeTokenizer} = await import(new URL('live/tokenizer.js', location));
    const {encode} = makeTokenizer(await (await fetch('live/model/merges.txt')).text());
    return strings.map(encode);
}"""
NOISE = """async ([seed, n]) => {
    const {normalNoise} = await import(new URL('live/random.js', location));
    return [...normalNoise(seed, n)];
}"""
RANGES = (32, 127), (32, 592), (0x391, 0x3CA), (0x400, 0x482), (0x4E00, 0x9FA5), (0x1F300, 0x1F5FF)
ODD = ['', "It's the cat's", '  spaces \n and\tTABS ', 'na\u00efve caf\u00e9', 'cafe\u0301',
       '\u03a3\u039f\u03a6\u039f\u03a3', '\U0001f44d\U0001f3fd', '4 cats, 44 dogs', 'a<|endoftext|>b',
       '\u0130stanbul', 'a\u0085b\ufeffc\u200bd']


def random_strings(n):
    "Letters, accents, Greek, Cyrillic, Chinese, emoji, as in chapter 01."
    random.seed(0)
    def character(): return chr(random.choice([32, random.randrange(*random.choice(RANGES))]))
    return [''.join(character() for _ in range(random.randrange(40))) for _ in range(n)]


def generate(page, prompt, seed, scheduler='lms', steps=25, guidance=3, button='#live-go'):
    "Fill in the form, press a button, wait; give the image, [H, W, 3]."
    for name, value in dict(prompt=prompt, seed=seed, steps=steps, guidance=guidance).items():
        page.fill(f'#live-{name}', str(value))
    page.select_option('#live-scheduler', scheduler)
    page.evaluate("delete document.querySelector('#live').dataset.seconds")
    page.click(button)
    page.wait_for_function(FINISHED, timeout=PATIENCE)
    return canvas(page, '#live-now canvas')


def canvas(page, selector):
    import numpy as np
    pixels = np.array(page.evaluate(PIXELS, selector), dtype=int)
    side = int((len(pixels) // 4) ** 0.5)
    return pixels.reshape(side, side, 4)[..., :3]


def try_live(reader):
    "Generate on the built page, and compare with Python."
    if problem := live.check_kernel(): reader.fail(LIVE, problem)
    page = reader.open(LIVE)
    asked = []
    page.context.on('request', lambda request: asked.append(request.url))
    page.wait_for_selector('#live-go')
    page.reload()
    page.wait_for_selector('#live-go')
    def weights(): return [url for url in asked if url.endswith(('.safetensors', '.bin', '.txt'))]
    if weights(): reader.fail(LIVE, f'fetches before it is told to: {weights()}')
    offer = page.inner_text('#live-go')
    if 'MB' not in offer: reader.fail(LIVE, f'does not say how much it will fetch: {offer}')
    compare_inputs(reader, page)
    compare_images(reader, page)
    bytes_ = sum((SITE / url.removeprefix(reader.home)).stat().st_size for url in set(weights()))
    if bytes_ > 35e6: reader.fail(LIVE, f'fetched {bytes_:,} bytes')
    stays_usable(reader, page)
    looks_inside(reader, page)
    asked.clear()
    page.reload()
    page.wait_for_selector('#live-go')
    generate(page, *IMAGES[0][:3], steps=1)
    if weights(): reader.fail(LIVE, f'fetches again what it has: {weights()}')
    page.context.close()
    print(f'{LIVE}: {bytes_ / 1e6:.1f} MB fetched for {len(IMAGES)} prompts')
    explains(reader)


def compare_inputs(reader, page):
    "Token ids and initial noise are Python's."
    import torch
    from sdpipe.all import init_latents, load_parts
    parts = load_parts('mini')
    strings = random_strings(4000) + ODD
    ids = page.evaluate(TOKENIZE, strings)
    wrong = [s for s, got in zip(strings, ids) if got != parts.tokenizer(s, verbose=False).input_ids]
    if wrong: reader.fail(LIVE, f'{len(wrong)} of {len(strings)} strings have other ids, as {wrong[0]!r}')
    largest = 0
    for seed in (0, 7, 123456789, 2**32 + 5):
        noise = init_latents([seed], parts.unet, parts.vae).flatten()
        largest = max(largest, (torch.tensor(page.evaluate(NOISE, [seed, len(noise)])) - noise).abs().max().item())
    if largest > 1e-5: reader.fail(LIVE, f'the noise is off by {largest}')
    same = f'{len(strings) - len(wrong)} of {len(strings)} strings have the same ids'
    print(f'{LIVE}: {same}; the noise is the same within {largest:.1e}')


def compare_images(reader, page):
    "The images are Python's, also one that is continued with another prompt."
    import numpy as np
    from sdpipe.all import decode_latents, denoise_steps, embed_prompts, init_latents, load_parts
    from sdpipe.all import make_scheduler, tensor_to_images, text_to_image
    parts = load_parts('mini')
    def compare(what, got, wanted):
        apart = np.abs(got - np.array(wanted, dtype=int))
        print(f'{LIVE}: {what}: {apart.mean():.4f} of 255 on average, {apart.max()} at most')
        if apart.mean() > APART: reader.fail(LIVE, f'{what}: {apart.mean():.1f} of 255 from Python')
    for prompt, seed, scheduler, steps, guidance in IMAGES:
        own = parts._replace(scheduler=make_scheduler(scheduler))
        wanted = text_to_image(prompt, own, '', steps, guidance, seed, progress=False)[0]
        got = generate(page, prompt, seed, scheduler, steps, guidance)
        seconds = float(page.evaluate(FINISHED))
        compare(f'{prompt[:40]!r}, seed {seed}, {scheduler}, {steps} steps ({seconds:.1f} s)', got, wanted)

    generate(page, 'a frog on a purple background', 0)
    page.fill('#live-step', '8')
    got = generate(page, 'a panda on a purple background', 0, guidance=5, button='#live-continue')
    frog, panda = (embed_prompts(f'a {what} on a purple background', *parts[:2]) for what in ('frog', 'panda'))
    latents = init_latents([0], parts.unet, parts.vae)
    for step in denoise_steps(latents, frog, parts.unet, parts.scheduler, 25, 3):
        if step.index == 6: break
    for step in denoise_steps(step.latents, panda, parts.unet, parts.scheduler, 25, 5, start=7): pass
    compare('a frog, from step 8 on a panda', got, tensor_to_images(decode_latents(step.latents, parts.vae))[0])


def stays_usable(reader, page):
    "The page has its turn while the worker computes, and cancelling does not wait for it."
    page.evaluate(TURNS)
    generate(page, 'a cat', 1, steps=12)
    turns, longest = page.evaluate('[turns, longest]')
    if turns < 36: reader.fail(LIVE, f'the page had its turn only {turns} times in 12 steps')
    page.fill('#live-steps', '100')
    page.click('#live-go')
    begun = "/^([3-9]|\\d\\d+) of 100,/.test(document.querySelector('#live-about').textContent)"
    page.wait_for_function(begun, timeout=PATIENCE)
    took = page.evaluate(CANCEL)
    at = page.inner_text('#live-about').partition(',')[0]
    began = perf_counter()
    generate(page, 'a cat', 1, steps=2)  # the worker has stopped as well: it has time for another image
    again = perf_counter() - began
    if took > 1000: reader.fail(LIVE, f'cancelling takes {took:.0f} ms')
    print(f'{LIVE}: cancelled at step {at} in {took:.0f} ms, another image of 2 steps after {again:.1f} s; '
          f'the longest wait for the page: {longest:.0f} ms')


def looks_inside(reader, page):
    "The slider, the four images and the attention of a token work from the keyboard, and axe finds no fault."
    generate(page, 'a frog', 0, steps=4)
    page.focus('#live-step')
    page.keyboard.press('ArrowLeft')
    for kind in ('input', 'uncond', 'text', 'guided'):
        page.wait_for_selector(f'#live-{kind} canvas:not(.live-stale)', timeout=PATIENCE)
    if 'step 3 of 4' not in page.get_attribute('#live-now canvas', 'aria-label'):
        reader.fail(LIVE, 'an arrow key does not move the slider')
    page.focus('#live-tokens button:nth-child(3)')
    page.keyboard.press('Enter')
    page.wait_for_selector('#live-map:visible', timeout=PATIENCE)
    if 'frog' not in page.inner_text('#live-share'): reader.fail(LIVE, page.inner_text('#live-share'))
    for scheme in ('light', 'dark'):
        for width in (1280, 390):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({'width': width, 'height': 844})
            page.wait_for_timeout(300)
            over, out = page.evaluate(WIDE)
            if over > 0 or out: reader.fail(LIVE, f'{over} pixels wider than {width}: {out}')
        reader.axe_finds(page, LIVE, scheme)
    page.set_viewport_size({'width': 1280, 'height': 844})


def explains(reader):
    "Where the page cannot work, it says so."
    def expect(what, page, words):
        text = page.inner_text('#live')
        if words not in text: reader.fail(LIVE, f'{what}: says {text!r}')
        page.context.close()
    page = reader.open(LIVE, script='WebAssembly.validate = () => false')
    page.wait_for_selector('.live-problem')
    expect('no SIMD', page, 'no WebAssembly SIMD')
    page = reader.browser.new_context(java_script_enabled=False).new_page()
    page.goto(reader.home + LIVE)
    expect('no JavaScript', page, 'http.server')
    page = reader.browser.new_context().new_page()
    page.goto((SITE / LIVE).resolve().as_uri())
    expect('opened as a file', page, 'http.server')
    page = reader.browser.new_context().new_page()
    page.route('**/unet.safetensors', lambda route: route.abort())
    page.goto(reader.home + LIVE)
    page.click('#live-go')
    page.wait_for_selector('.live-problem', timeout=PATIENCE)
    expect('no network', page, 'Is there a connection?')


def main():
    if not CHROMIUM or not all(map(find_spec, ('playwright', 'axe_playwright_python'))):
        print(f"{'failed' if NEEDED else 'skipped'}: this needs Chromium, and pip install -e '.[browser]'")
        return NEEDED
    from playwright.sync_api import sync_playwright
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = [] if '--live' in sys.argv else sorted(p.relative_to(SITE).as_posix() for p in SITE.rglob('*.html'))
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        reader = Reader(browser, f'http://127.0.0.1:{server.server_port}/')
        for name in names:
            reader.phone(name)
            reader.answers(name)
        if names:
            reader.search()
            reader.dark()
            for name in AXE_PAGES:
                for scheme in ('light', 'dark'): reader.axe(name, scheme)
        try_live(reader)
    if names and not all(reader.counts.values()):
        reader.fail(SITE.name, f'nothing to look at: {reader.counts}')
    print('\n'.join(reader.wrong))
    print(f'{reader.counts}, axe on {len(AXE_PAGES)} pages, light and dark: {len(reader.wrong)} wrong')
    return len(reader.wrong) > 0


if __name__ == '__main__': sys.exit(main())
