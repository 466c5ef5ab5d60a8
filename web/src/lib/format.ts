// Quantities and times for people.
export function bytes(count: number): string {
  const steps: [number, string][] = [
    [2 ** 40, 'TB'],
    [2 ** 30, 'GB'],
    [2 ** 20, 'MB'],
    [2 ** 10, 'kB'],
  ];
  for (const [size, unit] of steps) {
    if (count >= size) return `${(count / size).toFixed(count >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return `${Math.round(count)} B`;
}

export function clock(milliseconds: number): string {
  return new Date(milliseconds).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
}

export function day(milliseconds: number): string {
  return new Date(milliseconds).toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
}

export function milliseconds(value: number): string {
  return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

/** A position in the write-ahead log as PostgreSQL writes it. */
export function lsn(position: number): string {
  const half = 2 ** 32;
  return `${Math.floor(position / half).toString(16)}/${(position % half).toString(16)}`.toUpperCase();
}

const two = (number: number) => String(Math.trunc(number)).padStart(2, '0');

/** As an input of the browser for a local time takes it. */
export function localMinute(milliseconds: number): string {
  const at = new Date(milliseconds);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** ISO 8601 with the offset of this browser: what a person meant, whatever the zone of the members is. */
export function withOffset(at: Date): string {
  const east = -at.getTimezoneOffset();
  const offset = `${east < 0 ? '-' : '+'}${two(Math.abs(east) / 60)}:${two(Math.abs(east) % 60)}`;
  return `${localMinute(at.getTime())}:${two(at.getSeconds())}${offset}`;
}

/** A time of the members in the words of this browser. */
export function moment(text: string): string {
  const at = Date.parse(text);
  return Number.isNaN(at) ? text : `${day(at)} ${clock(at)}`;
}
