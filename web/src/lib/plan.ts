// Where things are in the drawing: members side by side, or below each other where there is no room. Pure geometry.
import type { Overview } from './api';

export interface Box {
  name: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Flow {
  to: string;
  path: string;
  /** Where its label stands. */
  x: number;
  y: number;
  anchor: 'start' | 'end';
}

export interface Plan {
  width: number;
  height: number;
  boxes: Box[];
}

const GAP = 20;
const BOX_MIN = 212;
const BOX_MAX = 360;
/** Room for the lines and their labels above the boxes, or left of them. */
const LANE_ABOVE = 58;
const LANE_LEFT = 34;
const MARGIN = 2;
/** Of a box, with its lines of text. */
export const TITLE = 42;
export const ROW = 20;

/** Everybody who has something to do with the cluster: members, voters, members with Redis alone. */
export function names(overview: Overview): string[] {
  const found = new Set(overview.members.map(({ name }) => name));
  for (const { name } of overview.store.voters) found.add(name);
  for (const group of overview.redis) for (const { name } of group.members) found.add(name);
  return [...found].sort();
}

/** Where the services of a member are reached, as it has told. A witness tells nothing, but it may be the one that serves this page. */
export function services(overview: Overview, name: string): { console: string; proxy: string; sentinel: string } {
  const member = overview.members.find((member) => member.name === name);
  const other = overview.others.find((other) => other.name === name);
  return {
    console: member?.console ?? other?.console ?? (name === overview.member ? location.origin : ''),
    proxy: member?.proxy ?? '',
    sentinel: member?.sentinel ?? other?.sentinel ?? '',
  };
}

export function plan(who: string[], rows: number, width: number): Plan {
  const height = TITLE + rows * ROW + 12;
  const columns = Math.max(1, who.length);
  const room = (width - 2 * MARGIN - GAP * (columns - 1)) / columns;
  if (room >= BOX_MIN) {
    const each = Math.min(BOX_MAX, room);
    const left = (width - (each * columns + GAP * (columns - 1))) / 2;
    const boxes = who.map((name, at) => ({ name, x: left + at * (each + GAP), y: LANE_ABOVE, width: each, height }));
    return { width, height: LANE_ABOVE + height + MARGIN, boxes };
  }
  const boxes = who.map((name, at) => ({
    name,
    x: LANE_LEFT,
    y: MARGIN + at * (height + GAP),
    width: Math.max(0, width - LANE_LEFT - MARGIN),
    height,
  }));
  return { width, height: who.length * (height + GAP) - GAP + 2 * MARGIN, boxes };
}

/** From the leader's box to the others', in the lane. */
export function flows(boxes: Box[], leader: string, to: string[]): Flow[] {
  const from = boxes.find(({ name }) => name === leader);
  if (!from) return [];
  return boxes
    .filter(({ name }) => to.includes(name))
    .map((box) => {
      if (box.y === from.y) {
        // Each line leaves at a place of its own, and the further it goes the higher it flies, so none hides another.
        const end = box.x + box.width / 2;
        const distance = Math.abs(boxes.indexOf(box) - boxes.indexOf(from));
        const start = from.x + from.width / 2 + Math.sign(box.x - from.x) * Math.max(10, 46 - 18 * (distance - 1));
        const top = Math.max(0, 22 - 22 * (distance - 1));
        const path = `M${start},${from.y} C${start},${top} ${end},${top} ${end},${box.y - 3}`;
        return { to: box.name, path, x: end - Math.sign(start - end) * 10, y: from.y - 12, anchor: start > end ? ('end' as const) : ('start' as const) };
      }
      const [start, end] = [from.y + from.height / 2, box.y + 24];
      const distance = Math.min(1, Math.abs(end - start) / 700);
      const x = LANE_LEFT - 12 - distance * 20;
      const path = `M${from.x},${start} C${x},${start} ${x},${end} ${box.x - 3},${end}`;
      return { to: box.name, path, x: box.x + 12, y: box.y - 6, anchor: 'start' as const };
    });
}
