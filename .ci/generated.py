"""Write what is made from the notebooks, without Quarto: README.md, cards, sidebar, glossary and API pages.

Usage: python .ci/generated.py"""
import ast
import base64
import html
import io
import json
import re
import sys
from importlib import import_module
from itertools import groupby

import yaml
from execnb.nbio import read_nb
from nbconvert import MarkdownExporter
from nbdev.config import get_config
from nbdev.process import NBProcessor
from nbdev.processors import hide_
from nbdev.quarto import refresh_quarto_yml
from nbformat import reads
from PIL import Image

from book import NBS, ROOT, chapters, module, title

CONFIG = get_config()
PICTURES = 'nbs/images'
KEPT = 'cell_type', 'id', 'metadata', 'source', 'outputs', 'execution_count'
PARTS = {  # the sidebar's parts, and which notebooks belong to each
    'The pipeline': r'0\d_',
    'Explorations': r'0\d[a-z]_|[12]\d_',
    'How the built-in model was made': r'9\d_',
}
CARDS = {'04_noise': 1}  # which of a chapter's images is on its card, if not the first
REFERENCE = 'Glossary', 'Bibliography', 'API'
DFN = re.compile(r'<dfn id="(?P<id>[^"]+)" title="(?P<says>[^"]+)">(?P<term>.*?)</dfn>', re.S)


def markdown(cells): return '\n\n'.join(''.join(c['source']) for c in cells if c['cell_type'] == 'markdown')


def pictures(cells):
    "Give a notebook's stored pictures, in order."
    for out in (out for cell in cells for out in cell.get('outputs', [])):
        if png := out.get('data', {}).get('image/png'): yield base64.b64decode(''.join(png))


def write_readme():
    "Turn nbs/index.ipynb into README.md and its pictures."
    nb, alts = read_nb(NBS / 'index.ipynb'), []
    NBProcessor(nb=nb, procs=[hide_]).process()
    for cell in nb.cells:
        directives = getattr(cell, 'directives_', {})
        if directives.get('echo:') == ['false']: cell.metadata['transient'] = {'remove_source': True}
        cell['source'] = re.sub(r'^#\|.*\n', '', cell['source'], flags=re.M)
        alts += [yaml.safe_load(' '.join(directives['fig-alt:']))] if 'fig-alt:' in directives else []
    nb.metadata['language_info'] = {'name': 'python'}
    plain = dict(nb, cells=[{k: c[k] for k in KEPT if k in c} for c in nb.cells])
    names = {'unique_key': 'index', 'output_files_dir': PICTURES}
    text, resources = MarkdownExporter().from_notebook_node(reads(json.dumps(plain), 4), names)
    for old in (ROOT / PICTURES).glob('index_*.png'): old.unlink()
    for name, data in resources['outputs'].items(): (ROOT / name).write_bytes(data)
    text = re.sub(r'!\[png\]', lambda _: f'![{alts.pop(0)}]', text)
    text = re.sub(r'^:::.*\n', '', text, flags=re.M)  # what only the site understands
    text = re.sub(r'(\]\(|src=")(?!https?:|#|nbs/)', r'\1nbs/', text)  # README.md lies above the notebooks
    text = re.sub(r'\n\s*\n', '\n\n', text).strip()
    if missing := [stem for stem, _ in chapters() if f'({NBS.name}/{stem}.ipynb)' not in text]:
        sys.exit(f'nbs/index.ipynb does not lead to {", ".join(missing)}')
    text = f'<!-- Made from nbs/index.ipynb by .ci/generated.py: edit the notebook. -->\n\n{text}\n'
    (ROOT / 'README.md').write_text(text, encoding='utf-8')


def write_cards():
    "Keep one small picture of each chapter that has a card on the front page."
    kept, front = set(), (NBS / 'index.ipynb').read_text(encoding='utf-8')
    for stem, cells in chapters():
        if f'card_{stem}.png' not in front or not (found := list(pictures(cells))): continue
        kept.add(path := ROOT / PICTURES / f'card_{stem}.png')
        image = Image.open(io.BytesIO(found[min(CARDS.get(stem, 0), len(found) - 1)])).convert('RGB')
        image.thumbnail((480, 300), Image.LANCZOS)
        image = image.quantize(128)
        # the same pixels may be packed otherwise by another release of Pillow: that is no change
        if not path.exists() or Image.open(path).convert('RGB').tobytes() != image.convert('RGB').tobytes():
            image.save(path, optimize=True)
    for old in set((ROOT / PICTURES).glob('card_*.png')) - kept: old.unlink()


def write_sidebar():
    "Number the chapters at the side of the site, in their parts."
    named = {stem: title(stem, cells) for stem, cells in chapters()}
    contents = [{'text': 'sdpipe', 'href': 'index.ipynb'}, {'text': 'Try it', 'href': 'live.ipynb'}]
    for part, stems in PARTS.items():
        pages = [{'text': text, 'href': f'{stem}.ipynb'} for stem, text in named.items() if re.match(stems, stem)]
        contents.append({'section': part, 'contents': pages})
    reference = [{'text': name, 'href': f'{name.lower()}.ipynb'} for name in REFERENCE]
    contents.append({'section': 'Reference', 'contents': reference})
    website = {'sidebar': {'style': 'floating', 'contents': contents}}
    text = yaml.safe_dump({'website': website}, sort_keys=False, width=1000)
    header = '# Made by .ci/generated.py from the names of the notebooks.\n'
    (NBS / 'sidebar.yml').write_text(header + text, encoding='utf-8')
    refresh_quarto_yml()


def write_page(name, *sources):
    "Write a notebook of text alone."
    cells = [{'cell_type': 'markdown', 'id': f'{name}-{k}', 'metadata': {}, 'source': text.splitlines(keepends=True)}
             for k, text in enumerate(sources)]
    kernel = {'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'}}
    nb = {'cells': cells, 'metadata': kernel, 'nbformat': 4, 'nbformat_minor': 5}
    (NBS / f'{name}.ipynb').write_text(json.dumps(nb, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


def write_glossary():
    "Gather the `<dfn>` elements of all chapters: the term, what it says of it, where it stands."
    terms = {}
    for stem, cells in chapters():
        for found in DFN.finditer(markdown(cells)):
            term = re.sub(r'\s+', ' ', re.sub(r'<[^>]+>', '', found['term'])).strip('* ')
            term = term.strip('`') if '`' in term else term[0].upper() + term[1:]
            if any(found['id'] == id or term.lower() == other.lower() for other, (id, *_) in terms.items()):
                sys.exit(f'{stem}: the term "{term}" ({found["id"]}) is defined twice')
            terms[term] = found['id'], html.unescape(found['says']), stem, title(stem, cells)
    def line(term):
        id, says, stem, where = terms[term]
        return f'- **[{term}]({stem}.ipynb#{id})**: {says} [{where}]({stem}.ipynb#{id})'
    letters = [f'## {letter}\n\n::: {{.terms}}\n\n' + '\n'.join(map(line, of)) + '\n\n:::\n'
               for letter, of in groupby(sorted(terms, key=str.lower), lambda t: t[0].upper())]
    write_page('glossary', '# Glossary\n\n> What does that word mean here?\n',
               'Each term in one sentence, with a link to the place in the book that shows it.\n', *letters)
    return len(terms)


NAME = r"[A-ZÀ-Ž][\w'’-]+"
CITED = re.compile(rf'({NAME}(?: et al\.| (?:&|and) {NAME})?),? \(?((?:19|20)\d\d[a-z]?)\b')


def check_citations():
    "Every paper that a chapter cites is in the bibliography, and every paper there is cited."
    entries = set(re.findall(r'^- \*\*(.+?)\*\*', markdown(read_nb(NBS / 'bibliography.ipynb').cells), re.M))
    cited = {}
    for stem, cells in chapters():
        for name, year in CITED.findall('\n'.join(''.join(c['source']) for c in cells)):
            cited.setdefault(f'{name.replace(" and ", " & ")} {year}', stem)
    known = {key: stem for key, stem in cited.items() if ' et al.' in key or ' & ' in key or key in entries}
    if missing := [f'{key} ({stem})' for key, stem in known.items() if key not in entries]:
        sys.exit(f'not in nbs/bibliography.ipynb: {", ".join(missing)}')
    if unused := entries - set(known): sys.exit(f'no chapter cites {", ".join(sorted(unused))}')


def exported(module):
    "Give the names that a module exports, each with one line on what it is."
    tree = ast.parse((ROOT / 'sdpipe' / (module.replace('.', '/') + '.py')).read_text(encoding='utf-8')).body
    says, names = {}, []
    for node in tree:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            says[node.name] = (ast.get_docstring(node) or '').split('\n')[0]
        elif isinstance(node, ast.Assign):
            value = node.value
            choices = value.keys if isinstance(value, ast.Dict) else value.elts if isinstance(value, ast.Tuple) else []
            for name in (t.id for t in node.targets if isinstance(t, ast.Name)):
                if name == '__all__': names = ast.literal_eval(value)
                says[name] = ', '.join(f'`{ast.unparse(c)}`' for c in choices) or f'`{ast.unparse(value)}`'
    return [(name, says[name]) for name in sorted(names, key=str.lower)]


def write_api():
    "List all exported names, one table per chapter, each with a link to its documentation."
    cells, count, index = [], 0, import_module('sdpipe._modidx').d['syms']
    for stem, cells_ in chapters():
        if not (name_of := module(cells_)): continue
        rows = exported(name_of)
        count += len(rows)
        table = ['| name | what it is |', '|---|---|']
        for name, says in rows:
            place = index.get(f'sdpipe.{name_of}', {}).get(f'sdpipe.{name_of}.{name}', ('',))[0].partition('#')
            says = says.replace('|', r'\|')
            table.append(f'| [<code>{name}</code>]({stem}.ipynb{"".join(place[1:])}) | {says} |')
        heading = f'## [{title(stem, cells_)}]({stem}.ipynb) {{#{name_of}}}\n\n`from sdpipe.{name_of} import *`\n\n'
        cells.append(heading + '\n'.join(table) + '\n')
    write_page('api', '# API\n\n> What can I import, and where is it explained?\n',
               '`from sdpipe.all import *` brings what a reader calls: all of these but the checks and other helpers '
               'that only the package itself calls, the commands, '
               'and the last part, how the built-in model was made.\n',
               *cells)
    return count


def main():
    (ROOT / PICTURES).mkdir(exist_ok=True)
    write_cards()
    write_sidebar()
    check_citations()
    print(f'{write_glossary()} terms, {write_api()} exported names')
    write_readme()


if __name__ == '__main__': main()
