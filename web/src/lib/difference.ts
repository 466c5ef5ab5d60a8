// Two texts line by line, and two configurations key by key.
import type { Config } from './api';

export type Line = { kind: 'same' | 'old' | 'new'; text: string };

/** Beyond this the table of the longest common part would be large; a configuration has some dozens of lines. */
const LINES_MAX = 2000;

export function lines(before: string, after: string): Line[] {
  const a = before.split('\n').slice(0, LINES_MAX);
  const b = after.split('\n').slice(0, LINES_MAX);
  // A comma behind a line is only of the line that follows.
  const same = (one: string | undefined, other: string | undefined) =>
    one !== undefined && other !== undefined && one.replace(/,$/, '') === other.replace(/,$/, '');
  // common[i][j]: how many lines the rests from i and from j have in common.
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  const at = (i: number, j: number) => common[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    const row = common[i];
    if (!row) continue;
    for (let j = b.length - 1; j >= 0; j--) row[j] = same(a[i], b[j]) ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  }
  const found: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [old, fresh] = [a[i], b[j]];
    if (fresh !== undefined && same(old, fresh)) {
      found.push({ kind: 'same', text: fresh });
      i++;
      j++;
    } else if (fresh === undefined || (old !== undefined && at(i + 1, j) >= at(i, j + 1))) {
      found.push({ kind: 'old', text: old ?? '' });
      i++;
    } else {
      found.push({ kind: 'new', text: fresh });
      j++;
    }
  }
  return found;
}

const isObject = (value: unknown): value is Config => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What `PATCH /config` takes to make `after` of `before`: only what differs, null for what goes. */
export function patch(before: Config, after: Config): Config {
  const changes: Config = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [was, is] = [before[key], after[key]];
    if (is === undefined) changes[key] = null;
    else if (isObject(was) && isObject(is)) {
      const inner = patch(was, is);
      if (Object.keys(inner).length > 0) changes[key] = inner;
    } else if (JSON.stringify(was) !== JSON.stringify(is)) changes[key] = is;
  }
  return changes;
}
