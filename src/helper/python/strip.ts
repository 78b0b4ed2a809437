/** One logical line of Python: its indentation, and its text with continuation lines joined as they were. */
interface LogicalLine {
  indent: number;
  text: string;
  docstring: boolean;
}

const TRIPLE = /^(?:"""|''')/;

/**
 * Makes Python source small without changing what it does: drops comments, blank lines and
 * docstrings, and indents by one space. Strings stay as they are, multi-line ones too. The source
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
  while (at < source.length) {
    const char = source.charAt(at);
    if (char === '"' || char === "'") {
      const end = stringEnd(source, at);
      single = text === '';
      text += source.slice(at, end);
      at = end;
      continue;
    }
    if (char === '#') {
      while (at < source.length && source[at] !== '\n') at += 1;
      continue;
    }
    at += 1;
    if (char === '\\' && source[at] === '\n') {
      // An explicit continuation: the next line's indentation means nothing.
      at = skipSpaces(source, at + 1);
      text = `${text.trimEnd()} `;
    } else if (char === '\n') {
      if (depth === 0) break;
      at = skipSpaces(source, at);
      // A line end within brackets separates words just as a space does.
      if (!/[\s([{]$/.test(text)) text += ' ';
    } else {
      if ('([{'.includes(char)) depth += 1;
      if (')]}'.includes(char)) depth -= 1;
      if (char !== ' ') single = false;
      text += char;
    }
  }
  return { text: text.trimEnd(), end: at, single };
}

function skipSpaces(source: string, at: number): number {
  while (source[at] === ' ') at += 1;
  return at;
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
