"""Read the built pages in a browser that cannot reach any other machine.

Usage: python .ci/browser.py [--needed] [FOLDER]; --needed makes a missing browser a failure"""
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from shutil import which

NEEDED = '--needed' in sys.argv
SITE = Path(next((a for a in sys.argv[1:] if not a.startswith('-')), Path(__file__).parent.parent / '_docs'))
CHROMIUM = which('chromium') or which('chromium-browser') or which('google-chrome')
SWITCHES = ('--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
            '--disable-component-update --disable-sync').split()
AXE_PAGES = 'index.html', 'vae.html', 'glossary.html'
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


class Reader:
    "A browser, and what it complained of."

    def __init__(self, browser, home):
        self.browser, self.home, self.wrong, self.counts = browser, home, [], dict(pages=0, formulas=0, answers=0)

    def open(self, name, width=1280, scheme='light'):
        "Open a page with all requests to other machines refused, and note each, and each error."
        page = self.browser.new_context(viewport={'width': width, 'height': 844}, color_scheme=scheme).new_page()
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
        page.fill('#quarto-search input', 'guidance')
        try: page.wait_for_selector('#quarto-search a[href*="guided_loop"]', timeout=5000)
        except Exception: self.fail('index.html', 'the search does not find guidance in guided_loop')
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
        from axe_playwright_python.sync_playwright import Axe
        page = self.open(name, scheme=scheme)
        page.wait_for_timeout(300)  # the colours fade in
        for v in Axe().run(page).response['violations']:
            if v['impact'] not in ('serious', 'critical'): continue
            where = v['nodes'][0]['html'][:150]
            self.fail(name, f'axe, {scheme}: {v["id"]} ({len(v["nodes"])}): {v["help"]}: {where}')
        page.context.close()


def main():
    if not CHROMIUM or not all(map(find_spec, ('playwright', 'axe_playwright_python'))):
        print(f"{'failed' if NEEDED else 'skipped'}: this needs Chromium, and pip install -e '.[browser]'")
        return NEEDED
    from playwright.sync_api import sync_playwright
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = sorted(p.relative_to(SITE).as_posix() for p in SITE.rglob('*.html'))
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        reader = Reader(browser, f'http://127.0.0.1:{server.server_port}/')
        for name in names:
            reader.phone(name)
            reader.answers(name)
        reader.search()
        reader.dark()
        for name in AXE_PAGES:
            for scheme in ('light', 'dark'): reader.axe(name, scheme)
    if not reader.counts['formulas'] or not reader.counts['answers']:
        reader.fail(SITE.name, f'nothing to look at: {reader.counts}')
    print('\n'.join(reader.wrong))
    print(f'{reader.counts}, axe on {len(AXE_PAGES)} pages, light and dark: {len(reader.wrong)} wrong')
    return len(reader.wrong) > 0


if __name__ == '__main__': sys.exit(main())
