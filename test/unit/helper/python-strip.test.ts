import { readdirSync, readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { attachProgram, helperText, startProgram } from '../../../src/helper/python/program.js';
import { stripPython } from '../../../src/helper/python/strip.js';
import { evalPython, PYTHON } from '../../support/py/run.js';

const FOLDER = new URL('../../../src/helper/python/', import.meta.url);
const parameters = { secret: Buffer.alloc(32, 0xab), graceSeconds: 600 };

describe('stripping Python', () => {
  it.each([
    ['drops comments and blank lines', '# one\n\nx = 1  # two\n    # three\ny = 2\n', 'x=1\ny=2\n'],
    ['indents by one space a level', 'if a:\n    if b:\n        c()\n    d()\ne()\n', 'if a:\n if b:\n  c()\n d()\ne()\n'],
    ['drops docstrings', 'def f():\n    """One\n    two."""\n    return 1\n', 'def f():\n return 1\n'],
    ['keeps a block that holds a docstring only', 'class E(Exception):\n    """Why."""\n\n\nx = 1\n', 'class E(Exception):\n pass\nx=1\n'],
    ['keeps strings with hashes, quotes and spaces', `a = '# no  = comment'\nb = "it's"\nc = 'say \\'#\\' '\n`, `a='# no  = comment'\nb="it's"\nc='say \\'#\\' '\n`],
    ['keeps strings of many lines that are values', 'a = """x\n    # y  = 1\n"""\n', 'a="""x\n    # y  = 1\n"""\n'],
    ['keeps raw strings and bytes', String.raw`a = r'\n\'' + b'\\'` + '\n', String.raw`a=r'\n\''+b'\\'` + '\n'],
    ['keeps strings apart that would make a triple quote', "a = '' 'b'\n", "a='' 'b'\n"],
    ['joins lines within brackets', 'f(a,  # why\n  b,\n  [c\n   for c in d])\n', 'f(a,b,[c for c in d])\n'],
    ['joins lines after a backslash', 'if a and \\\n        b:\n    c()\n', 'if a and b:\n c()\n'],
    ['keeps the spaces between words', 'x = not a in b or - c if d else lambda: 0\n', 'x=not a in b or-c if d else lambda:0\n'],
    ['keeps a number and a word apart', 'x = 1 if y else 0x1 or 2\n', 'x=1 if y else 0x1 or 2\n'],
  ])('%s', (_, source, stripped) => {
    expect(stripPython(source)).toBe(stripped);
  });

  it.skipIf(PYTHON === undefined)('changes no syntax tree of any program here', () => {
    const names = readdirSync(FOLDER).filter((name) => name.endsWith('.py'));
    expect(names.length).toBeGreaterThan(5);
    const code = `
import ast, json, sys
def bare(text):
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, 'body', None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(getattr(body[0].value, 'value', getattr(body[0].value, 's', None)), str):
            del body[0]
            if not body and not isinstance(node, ast.Module):
                body.append(ast.Pass())
    return ast.dump(tree)
print(json.dumps([bare(a) == bare(b) for a, b in json.load(sys.stdin)]))`;
    const pairs = names.map((name) => {
      const source = readFileSync(new URL(name, FOLDER), 'utf8');
      return [source, stripPython(source)];
    });
    expect(JSON.parse(evalPython(code, JSON.stringify(pairs)))).toEqual(names.map(() => true));
  });
});

describe('the programs for the device', () => {
  const unpack = (packed: string): string => inflateSync(Buffer.from(packed, 'base64')).toString();

  it('carry their parameters in the first line, as a Python literal', () => {
    for (const packed of [startProgram(parameters), attachProgram(parameters)]) {
      expect(packed).toMatch(/^[A-Za-z0-9+/]+=*$/);
      expect(unpack(packed).split('\n')[0]).toBe(`P={"secret":"${'ab'.repeat(32)}","grace":600}`);
    }
  });

  it('attach with the front alone', () => {
    const text = unpack(attachProgram(parameters));
    expect(text).not.toContain('class');
    expect(text.endsWith('front()\n')).toBe(true);
    expect(unpack(startProgram(parameters)).endsWith('start()\n')).toBe(true);
  });

  it('stay small enough for a slow terminal', () => {
    expect(attachProgram(parameters).length).toBeLessThan(1_400);
    expect(startProgram(parameters).length).toBeLessThan(20_000);
  });

  it('hold nothing that a terminal or Python 3.5 would not take', () => {
    const text = helperText();
    expect(text).toMatch(/^[\x20-\x7e\n]*$/);
    expect(text).not.toMatch(/\bf['"]|:=|\basync\b|\bnonlocal\b/);
  });
});
