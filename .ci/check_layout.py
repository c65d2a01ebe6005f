"""Hold the book to its layout: imports run one way, sdpipe/all.py is complete, and lines fit a page.

Usage: python .ci/check_layout.py"""
import ast
import importlib
import sys

from book import ROOT, cells_of, chapters, module, source

WIDEST = 120  # characters of a line of code, in modules, tools and notebook cells
# modules behind command lines, which `from sdpipe.all import *` does not bring
COMMANDS = 'prompt_files', 'command', 'bench'
BY_NBDEV = '__all__', "           '"  # how the lines begin in which nbdev lists exported names


def imported(name):
    "Name the modules of sdpipe that a module imports."
    tree = ast.parse((ROOT / 'sdpipe' / (name.replace('.', '/') + '.py')).read_text(encoding='utf-8'))
    package = 'sdpipe.' + name
    for node in ast.walk(tree):
        if isinstance(node, ast.Import): names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join(package.split('.')[:-node.level]) if node.level else ''
            base = '.'.join(filter(None, [base, node.module]))
            names = [base, *(f'{base}.{a.name}' for a in node.names)]
        else: continue
        yield from (n.removeprefix('sdpipe.') for n in names if n.startswith('sdpipe.'))


def wrong_imports(order):
    "Find modules that import a later chapter, or an appendix from outside the appendix."
    for k, name in enumerate(order):
        for other in set(imported(name)) & set(order):
            if order.index(other) >= k: yield f'{name} imports {other}, a later chapter'
            if other.startswith('train.') and not name.startswith('train.'):
                yield f'{name} imports {other}, an appendix'


def missing_names(order):
    "Find exported names that `from sdpipe.all import *` does not bring, and names that two modules export."
    everything, owners = vars(importlib.import_module('sdpipe.all')), {}
    for name in order:
        if name.startswith('train.') or name in COMMANDS: continue
        for exported in importlib.import_module(f'sdpipe.{name}').__all__:
            if exported not in everything: yield f'sdpipe/all.py lacks {name}.{exported}'
            if exported in owners: yield f'{exported} is exported by {owners[exported]} and by {name}'
            owners[exported] = name
    for name in everything['INNER']:
        if name not in owners: yield f'sdpipe/all.py leaves out {name}, which no module exports'


def wide_lines():
    "Find lines of code that are wider than a page."
    for path in sorted([*(ROOT / 'sdpipe').rglob('*.py'), *(ROOT / '.ci').glob('*'), ROOT / 'setup.py']):
        if not path.is_file() or path.name == '_modidx.py': continue  # nbdev writes that one
        for k, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
            if len(line) > WIDEST and not line.startswith(BY_NBDEV):
                yield f'{path.relative_to(ROOT)}:{k} has {len(line)} characters'
    for stem, cells in [*chapters(), ('index', cells_of('index'))]:
        for k, cell in enumerate(cells):
            if cell['cell_type'] != 'code': continue
            for line in source(cell).splitlines():
                if len(line) > WIDEST and not line.startswith('#|'):
                    yield f'nbs/{stem}.ipynb, cell {k}: {len(line)} characters: {line[:40]}...'


def main():
    order = [name for _, cells in chapters() if (name := module(cells))]
    wrong = [*wrong_imports(order), *missing_names(order), *wide_lines()]
    print('\n'.join(wrong) or f'{len(order)} modules in order: {" ".join(order)}')
    return len(wrong) > 0


if __name__ == '__main__': sys.exit(main())
