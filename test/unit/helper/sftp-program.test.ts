import { spawnSync } from 'node:child_process';
import { inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { sftpProgram, sftpSource } from '../../../src/helper/python/program.js';
import { PYTHON } from '../../support/py/run.js';

/** Bytes of the packed program: it crosses a slow link before the first file can. */
const PROGRAM_MOST = 4096;

describe('the built-in SFTP server as it is sent', () => {
  const source = sftpSource();

  test('is small', () => {
    expect(Buffer.from(sftpProgram(), 'base64').length).toBeLessThanOrEqual(PROGRAM_MOST);
  });

  test('is pure ASCII, so that no locale of the device matters', () => {
    expect(source).toMatch(/^[\n\x20-\x7e]*$/);
  });

  test.skipIf(PYTHON === undefined)('is the same program as its source, in the grammar of Python 3.5', () => {
    const dump = 'import ast, sys\ntree = ast.parse(sys.stdin.read(), feature_version=(3, 5)) if sys.version_info >= (3, 8) else ast.parse(sys.stdin.read())\n'
      // Docstrings are left out of the stripped text.
      + 'for n in ast.walk(tree):\n b = getattr(n, "body", None)\n if isinstance(b, list):\n  b[:] = [e for e in b if not (isinstance(e, ast.Expr) and isinstance(e.value, (ast.Constant if sys.version_info >= (3, 8) else ast.Str)))] or [ast.Pass()]\n'
      + 'print(ast.dump(tree))';
    const parse = (text: string): string => {
      const { status, stdout, stderr } = spawnSync(PYTHON ?? '', ['-c', dump], { input: text, encoding: 'utf8', maxBuffer: 1 << 26 });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      return stdout;
    };
    expect(parse(inflateSync(Buffer.from(sftpProgram(), 'base64')).toString())).toBe(parse(source));
  });
});
