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
