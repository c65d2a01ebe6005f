"""Build the docs site from the notebooks' stored outputs, with packages from PyPI alone.

Usage: python .ci/docs.py, then python -m http.server -d _docs. Set SDPIPE_REPOSITORY to the project's address
(https://github.com/OWNER/NAME) to have links to it and to Colab on the pages; without it there are none.

smalldocs does the work because it reads what Quarto reads: the same _quarto.yml, sidebar, callouts, folds and cell
options, so that plain nbdev_docs gives the same book where Quarto is installed. It is young, so it is pinned; what it
leaves to a network or to nbdev is added here."""
import base64
import hashlib
import os
import re
import shutil
import sys
from pathlib import Path, PurePosixPath

import smalldocs.markdown
import smalldocs.notebook
from latex2mathml.converter import convert
from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup
from nbdev.serve import proc_nbs
from smalldocs.config import load
from smalldocs.site import Site

import live

CONFIG = get_config()
ROOT, NBS = CONFIG.config_path, CONFIG.nbs_path
HOME = CONFIG.doc_host + CONFIG.doc_baseurl + '/'
REPOSITORY = os.environ.get('SDPIPE_REPOSITORY', '').rstrip('/')
COLAB = 'https://colab.research.google.com/github/' + REPOSITORY.removeprefix('https://github.com/')
LINK_TO_REPOSITORY = rf'<a [^>]*href="{CONFIG.git_url}[^"]*"[^>]*>.*?</a>'
# what smalldocs says it leaves to Quarto: done here, or in styles.css
KNOWN = 'html-math-method is ignored|output-file is not read|compiles no Sass'
figure = smalldocs.notebook.figure


def mathml(tex, opts):
    "Write a formula as MathML, which browsers draw by themselves."
    return convert(tex, display='block' if opts.get('display_mode') else 'inline')


def figure_with_own_alt(img, opts, n):
    "Give each picture of a cell its own alt text where the cell has a list of them."
    alt = opts.get('fig-alt')
    return figure(img, {**opts, 'fig-alt': alt[n]} if isinstance(alt, list) else opts, n)


smalldocs.markdown.math_renderer, smalldocs.notebook.figure = mathml, figure_with_own_alt


class Book(Site):
    "A site whose pages have nbdev's names, and whose pictures are files."

    def read(self, src):
        page = super().read(src)
        page.out = src.with_name(page.front.get('output-file', page.out.name))
        return page

    def find_page(self, target):
        return super().find_page(target) or next((p for p in self.pages.values() if p.out == target), None)

    def resolve(self, href, page, record=True):
        "Links to the published site, which nbdev writes, stay inside this one."
        return super().resolve(href.replace(HOME, '/', 1) if href.startswith(HOME) else href, page, record)

    def render_page(self, page):
        super().render_page(page)
        page.env['math'] = False  # formulas are drawn already: no script from a server of others
        # a printed sentence may be wrapped; a printed table may not
        page.html = re.sub(r'<pre>(<code>[^\n]*</code></pre>)', r'<pre class="one-line">\1', page.html)
        # nbdev makes links in the comments of signatures, too
        page.html = re.sub(rf'\[(`[^`]+`)\]\({HOME}[^)]*\)', r'\1', page.html)
        page.html = re.sub(r'<img ([^>]*)src="data:image/png;base64,([^"]+)"', self.picture, self.buttons(page))

    def picture(self, found):
        "Put an inline picture into a file of its own, and say its size, so that the page does not jump."
        data = base64.b64decode(found[2])
        name = f'images/{hashlib.sha256(data).hexdigest()[:16]}.png'
        (self.root / name).write_bytes(data)
        self.resources.add(PurePosixPath(name))
        width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        return f'<img {found[1]}src="{name}" width="{width}" height="{height}" loading="lazy"'

    def buttons(self, page):
        "Offer the page's notebook as a file and, where the repository's address is known, on Colab."
        if 'cell-code' not in page.html: return page.html
        links = [f'<a href="{page.src}" download>Download this notebook</a>']
        if REPOSITORY:
            links.insert(0, f'<a href="{COLAB}/blob/{CONFIG.branch}/{NBS.name}/{page.src}">Open in Colab</a>')
        return f'<p class="notebook-links">{" ".join(links)}</p>\n{page.html}'


def main():
    if not NbdevLookup()['text_to_image']: sys.exit("nbdev finds no names to link to: pip install -e '.[dev]' first")
    work = proc_nbs(n_workers=2, force=True)
    site = Book(load(work), quiet=True)
    site.out = ROOT / '_docs'
    pages = site.build()
    for nb, page in site.pages.items():
        shutil.copy(NBS / nb, site.out / nb)
        path = site.out / page.out
        # icons are not images to read out, and the end of a long line can be reached without a mouse
        text = path.read_text(encoding='utf-8').replace('role="img"', 'aria-hidden="true"')
        text = text.replace(CONFIG.git_url, REPOSITORY) if REPOSITORY else re.sub(LINK_TO_REPOSITORY, '', text)
        path.write_text(text.replace('<pre', '<pre tabindex="0"'), encoding='utf-8')
    live.prepare(site.out / 'live/model')  # what the page "Try it" fetches
    for warning in site.warnings:
        if not re.search(KNOWN, warning): print(warning)
    print(f'{pages} pages in {site.out.name}/')
    return len(site.broken) > 0


if __name__ == '__main__': sys.exit(main())
