"""Check the built pages without a browser: links, anchors, images, ids, what they would fetch.

Usage: python .ci/check_site.py [FOLDER]"""
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbdev.config import get_config

SITE = Path(sys.argv[1]) if len(sys.argv) > 1 else get_config().config_path / '_docs'
HEAVY = 1_500_000  # bytes of a page
OWN = get_config().doc_host + get_config().doc_baseurl  # a link there should have stayed inside
PARTS = {  # what a page must have, and how it shows in the HTML
    'chapters at the side': 'id="quarto-sidebar"',
    'contents': 'id="TOC"',
    'search': 'id="quarto-search"',
    'dark mode': 'quarto-color-scheme-toggle',
    'previous or next': 'class="page-navigation"',
    'description': '<meta name="description"',
    'icon': 'rel="icon"',
    'language': '<html lang="en"',
}
NOT_OURS = r'colab\.research\.google\.com|github\.com/sdpipe|git\+https'  # an address that somebody else could own
FETCHED = {'img': 'src', 'script': 'src', 'iframe': 'src', 'source': 'src', 'video': 'src', 'link': 'href'}


class Page(HTMLParser):
    "What the check needs to know of a page."

    def __init__(self, path):
        super().__init__()
        self.path, self.text = path, path.read_text(encoding='utf-8')
        self.ids, self.links, self.fetched, self.wrong, self.pictures, self.inside = [], [], [], [], 0, []
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == 'main': self.inside.append(tag)
        if 'id' in attrs: self.ids.append(attrs['id'])
        if tag == 'a' and 'href' in attrs: self.links.append(attrs['href'])
        if tag in FETCHED and FETCHED[tag] in attrs: self.fetched.append(attrs[FETCHED[tag]])
        if tag == 'img' and self.inside:
            self.pictures += 1
            if not attrs.get('alt'): self.wrong.append(f'a picture without an alt text: {attrs.get("src", "")[:60]}')

    def handle_endtag(self, tag):
        if tag == 'main': self.inside.pop()


def target(page, href):
    "Say which file of the site a link leads to, and where in it."
    parts = urlsplit(href)
    path = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
    return (path / 'index.html' if path.is_dir() else path), unquote(parts.fragment)


def check(page, pages):
    "Name what is wrong with a page."
    yield from page.wrong
    for what, mark in PARTS.items():
        if mark not in page.text: yield f'no {what}'
    if 'cell-code' in page.text:
        if '>Download this notebook</a>' not in page.text: yield 'no link to the notebook'
    if not os.environ.get('SDPIPE_REPOSITORY'):
        for found in re.findall(NOT_OURS, page.text): yield f'leads to an address that may be a stranger\'s: {found}'
    for id in {i for i in page.ids if page.ids.count(i) > 1}: yield f'two elements have the id "{id}"'
    for href in page.fetched:
        if re.match(r'(https?:)?//', href): yield f'would fetch {href}'
        elif not href.startswith('data:') and not target(page, href)[0].is_file(): yield f'nothing at {href}'
    for href in page.links:
        if href.startswith(OWN): yield f'leaves the site for its own page: {href}'
        elif not re.match(r'[a-z]+:', href):
            path, anchor = target(page, href)
            if not path.is_file(): yield f'dead link {href}'
            elif anchor and anchor not in pages[path].ids: yield f'no anchor {href}'
    for text in re.findall(r'url\(\s*["\']?(https?:[^)"\']+)', page.text): yield f'would fetch {text}'
    prose = re.sub(r'<(script|style|pre|code|math)\b.*?</\1>', '', page.text, flags=re.S)
    if r'\(' in prose or 'class="math' in page.text and '<math' not in page.text: yield 'a formula that is not drawn'
    for text in re.findall(r'`[^`<>]+`|\*\*[^*<>]+\*\*|\$\\\w+', re.sub(r'<[^>]*>', '', prose)):
        yield f'Markdown that shows as it is written: {text[:60]}'
    for text in re.findall(r'\S+\]\(\S*', re.sub(r'<[^>]+>', '', page.text)):
        if re.search(r'\]\(https?:|\.ipynb', text): yield f'a link that shows as {text}'
    if len(page.text) > HEAVY: yield f'{len(page.text):,} bytes'


def main():
    pages = {path.resolve(): Page(path.resolve()) for path in sorted(SITE.rglob('*.html'))}
    wrong = [f'{path.name}: {problem}' for path, page in pages.items() for problem in check(page, pages)]
    imports = r'(?:@import|url\()\s*["\']?((?:https?:)?//[^)"\';\s]+)'
    for css in SITE.rglob('*.css'):
        wrong += [f'{css.name}: would fetch {url}' for url in re.findall(imports, css.read_text(encoding='utf-8'))]
    if len(pages) < 15: wrong.append(f'only {len(pages)} pages')
    weight = sum(f.stat().st_size for f in SITE.rglob('*') if f.is_file())
    print('\n'.join(wrong))
    links, images = (sum(map(count, pages.values())) for count in (lambda p: len(p.links), lambda p: p.pictures))
    print(f'{len(pages)} pages, {links} links, {images} images, {weight / 1e6:.1f} MB: {len(wrong)} wrong')
    return len(wrong) > 0


if __name__ == '__main__': sys.exit(main())
