"""What the pages tell a reader to type, split as a shell would; and the links between them."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md'), ROOT / 'benchmarks/README.md', ROOT / 'experiments/README.md']
)
MODULES = sorted(
    path for folder in ('configs', 'dnr_jax', 'benchmarks', 'experiments') for path in (ROOT / folder).rglob('*.py')
)
FENCED = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
INLINE = re.compile(r'(?<!`)`([^`]+)`(?!`)')
# Of a record, which tells the command and the commit that it was made with.
RECORDED = re.compile(r'^\* `.+`: \d{4}-\d\d-\d\d, commit .*$', re.MULTILINE)
BENCHMARKS = '|'.join(sorted(path.stem for path in (ROOT / 'benchmarks').glob('*.py')))
INDEX = re.compile(rf'^(?:{BENCHMARKS}) --')  # how benchmarks/README.md lists them
PROGRAMS = re.compile(r'^(?:python|pip|make|srun) |^(?:train|eval)\.py |^dnr-')
SCRIPTS = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['scripts']  # 'dnr-train': 'MODULE:FUNCTION'


class Command(NamedTuple):
    """Of a page, the words behind the prompt: program and arguments."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f'{self.page}: {shlex.join(self.words)}'


def fenced(page: Path, language: str = '') -> list[str]:
    """The blocks of a page in that language; those without one are commands."""
    return [text for of, text in FENCED.findall(page.read_text()) if of == language]


def commands(page: Path) -> Iterator[Command]:
    """All commands of a page, in blocks and within lines."""
    name = str(page.relative_to(ROOT))
    texts = fenced(page)
    for span in INLINE.findall(RECORDED.sub('', FENCED.sub('', page.read_text()))):
        span = ' '.join(span.split())
        if INDEX.match(span) and page.parent.name == 'benchmarks':
            texts.append(f'python -m benchmarks.{span}')
        elif PROGRAMS.match(span):
            texts.append(span if not span.startswith(('train.py', 'eval.py')) else f'python {span}')
    for text in texts:
        for words in simple_commands(text):
            yield Command(name, words)


def in_docstring(path: Path) -> Iterator[Command]:
    """The commands that stand on lines of their own in what a module says of itself."""
    told = (ast.get_docstring(ast.parse(path.read_text())) or '').replace('\\\n', ' ')
    for line in re.findall(r'^ *(python (?:-m|train\.py|eval\.py) (?!.*: ).*)$', told, re.MULTILINE):
        for words in simple_commands(line):
            yield Command(str(path.relative_to(ROOT)), words)


def simple_commands(text: str) -> Iterator[tuple[str, ...]]:
    """The commands of a script, without comments, variables set before them and redirections.

    Words that stand for others, '...', are left out. Of a command for another machine, that one follows.
    """
    text = re.sub(r'(?m)(^|\s\s)\s*#.*$', '', text.replace('\\\n', ' '))
    lexer = shlex.shlex(text, posix=True, punctuation_chars='|&;<>\n')
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = ' \t', True, ''
    words, skipped = [], False
    for token in [*lexer, '\n']:
        if not set(token) <= set('|&;<>\n'):
            if not skipped and token != '...' and not token.endswith('=...'):
                words.append(token)
            skipped = False
        elif set(token) & set('<>'):
            skipped = True
        else:
            yield from program(words)
            words = []


def program(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The command, and the one it hands on."""
    while words and (words[0] in ('srun', 'do') or re.match(r'\w+=', words[0])):
        words = words[1:]
    if words and words[0] in SCRIPTS:
        yield ('python', '-m', SCRIPTS[words[0]].partition(':')[0].removesuffix('.__main__'), *words[1:])
    elif words:
        yield (words[0].removeprefix('.venv/bin/'), *words[1:])
    for word in words:
        if word.startswith('--command='):
            yield from simple_commands(word.removeprefix('--command='))


def links(page: Path) -> list[str]:
    """What a page points to, pictures too."""
    return re.findall(r'\]\(([^)\s]+)\)', INLINE.sub('', FENCED.sub('', page.read_text())))


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.*)$', FENCED.sub('', page.read_text()), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def keys(page: Path) -> set[str]:
    """Keys of a config that are named within lines or blocks: 'model.norm.stride'."""
    return set(re.findall(r'(?<![\w/.])config\.([a-z]\w*(?:\.[a-z]\w*)*)', page.read_text())) - {'json'}


def flags(page: Path) -> set[str]:
    """Names of flags within lines: 'allow_change' of `--allow_change=seed`."""
    spans = ' '.join(INLINE.findall(RECORDED.sub('', FENCED.sub('', page.read_text()))))
    return set(re.findall(r'(?<![\w-])--([a-z][\w-]*)', spans))
