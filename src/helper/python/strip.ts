/** One logical line of Python: its indentation in spaces, and its text on one line. */
interface LogicalLine {
  indent: number;
  text: string;
  docstring: boolean;
}

const TRIPLE = /^(?:"""|''')/;

/**
 * Makes Python source small without changing what it does: drops comments, blank lines, docstrings
 * and needless spaces, joins continued lines, and indents by one space. Strings stay as they are, multi-line ones too. The source
 * must be indented by spaces.
 */
export function stripPython(source: string): string {
  const lines = logicalLines(source);
  const out: string[] = [];
  const levels = [0];
  lines.forEach((line, index) => {
    while (line.indent < (levels.at(-1) ?? 0)) levels.pop();
    if (line.indent > (levels.at(-1) ?? 0)) levels.push(line.indent);
    let text = line.text;
    if (line.docstring) {
      // A block that holds nothing else still needs a statement.
      const before = lines[index - 1]?.indent ?? -1;
      const after = lines[index + 1]?.indent ?? -1;
      if (line.indent === 0 || before === line.indent || after === line.indent) return;
      text = 'pass';
    }
    out.push(' '.repeat(levels.length - 1) + text);
  });
  return `${out.join('\n')}\n`;
}

function logicalLines(source: string): LogicalLine[] {
  const found: LogicalLine[] = [];
  let at = 0;
  while (at < source.length) {
    const start = at;
    while (source[at] === ' ') at += 1;
    const indent = at - start;
    const line = logicalLine(source, at);
    at = line.end;
    if (line.text !== '') found.push({ indent, text: line.text, docstring: TRIPLE.test(line.text) && line.single });
  }
  return found;
}

/** Reads from `at` to the end of the logical line; `single` when it is one string and nothing else. */
function logicalLine(source: string, at: number): { text: string; end: number; single: boolean } {
  let text = '';
  let depth = 0;
  let single = false;
  let spaced = false;
  const add = (part: string): void => {
    if (spaced && needsSpace(text.at(-1) ?? '', part.charAt(0))) text += ' ';
    spaced = false;
    text += part;
  };
  while (at < source.length) {
    const char = source.charAt(at);
    if (char === '"' || char === "'") {
      const end = stringEnd(source, at);
      single = text === '';
      add(source.slice(at, end));
      at = end;
      continue;
    }
    if (char === '#') {
      while (at < source.length && source[at] !== '\n') at += 1;
      continue;
    }
    at += 1;
    if (char === '\n' && depth === 0) break;
    if (char === '\\' && source[at] === '\n') {
      at += 1;
      spaced = true;
    } else if (char === '\n' || char === ' ') {
      spaced = true;
    } else {
      if ('([{'.includes(char)) depth += 1;
      if (')]}'.includes(char)) depth -= 1;
      single = false;
      add(char);
    }
  }
  return { text, end: at, single };
}

/**
 * Whether the space between these two characters means something: it keeps words and numbers apart
 * (`1. if`, too), and two strings (`'' 'b'` would begin a triple quote).
 */
function needsSpace(before: string, after: string): boolean {
  return (/[\w.]/.test(before) && /[\w'"]/.test(after)) || (/['"]/.test(before) && /['"]/.test(after));
}

function stringEnd(source: string, at: number): number {
  const quote = source.charAt(at);
  const mark = source.startsWith(quote.repeat(3), at) ? quote.repeat(3) : quote;
  let end = at + mark.length;
  while (end < source.length && !source.startsWith(mark, end)) {
    // In raw strings too a backslash keeps the quote behind it from ending the string.
    if (source[end] === '\\') end += 1;
    end += 1;
  }
  return end + mark.length;
}
