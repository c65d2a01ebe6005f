"Hold the chapters to the layout: imports run one way, and sdpipe/all.py is complete. Usage: python .ci/check_layout.py"
import ast
import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def chapters():
    "Name the modules in reading order, as the notebooks' first cells do."
    for nb in sorted((ROOT / 'nbs').glob('[0-9]*.ipynb')):
        if m := re.search(r'#\| *default_exp +([\w.]+)', nb.read_text(encoding='utf-8')): yield m[1]


def imported(module):
    "Name the modules of sdpipe that a module imports."
    tree = ast.parse((ROOT / 'sdpipe' / (module.replace('.', '/') + '.py')).read_text(encoding='utf-8'))
    package = 'sdpipe.' + module
    for node in ast.walk(tree):
        if isinstance(node, ast.Import): names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join(package.split('.')[:-node.level]) if node.level else ''
            base = '.'.join(filter(None, [base, node.module]))
            names = [base, *(f'{base}.{a.name}' for a in node.names)]
        else: continue
        yield from (n.removeprefix('sdpipe.') for n in names if n.startswith('sdpipe.'))


def main():
    order, wrong = list(chapters()), []
    for k, module in enumerate(order):
        for name in set(imported(module)) & set(order):
            if order.index(name) >= k: wrong.append(f'{module} imports {name}, a later chapter')
            if name.startswith('train.') and not module.startswith('train.'): wrong.append(f'{module} imports {name}, an appendix')
    everything = vars(importlib.import_module('sdpipe.all'))
    for module in order:
        if module.startswith('train.'): continue
        wrong += [f'sdpipe/all.py lacks {module}.{n}' for n in importlib.import_module(f'sdpipe.{module}').__all__ if n not in everything]
    print('\n'.join(wrong) or f'{len(order)} modules in order: {" ".join(order)}')
    return len(wrong) > 0


if __name__ == '__main__': sys.exit(main())
