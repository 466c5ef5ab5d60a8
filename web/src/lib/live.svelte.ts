// The overview as it is now: the live stream, and what to do when the member that sends it is gone.
import { session, type Overview, type Session } from './api';

/** A stream that was cut is back within this time when the member lives. */
const PATIENCE_MS = 3000;
/** A connection is closed after a quarter of an hour and made anew at once; that is nothing to speak of. */
const SPEAK_MS = 1000;
/** A member that lives says so every 3 s. One whose host has vanished says nothing, not even that the connection is over. */
const SILENCE_MS = 7000;
const LOOK_EVERY_MS = 500;
/** A console that lives answers within milliseconds. */
const PROBE_MS = 1500;
/** Positions from which the speed of the log is computed. */
const SPEED_WINDOW_MS = 12_000;

export interface Elsewhere {
  name: string;
  url: string;
}

class Live {
  overview = $state.raw<Overview | null>(null);
  session = $state.raw<Session | null>(null);
  /** Since when nothing comes from the member that serves this page; only when it is worth a word. */
  lost = $state<number | null>(null);
  /** Where the page is about to go on. */
  leavingFor = $state<Elsewhere | null>(null);
  /** The bytes of log that the leader writes each second; null: not known yet. */
  walPerSecond = $state<number | null>(null);
  #lostSince: number | null = null;
  #heardAt = 0;
  #stream: EventSource | null = null;
  #positions: { at: number; leader: string; position: number }[] = [];

  constructor() {
    setInterval(() => void this.#look(), LOOK_EVERY_MS);
  }

  /** Who is signed in, and with that whether there is something to see. */
  async begin(): Promise<void> {
    try {
      this.session = await session();
      this.#found();
    } catch {
      this.#lostSince ??= Date.now();
      return;
    }
    if (this.session.login_needed && !this.session.user) {
      this.#stream?.close();
      this.#stream = null;
      return;
    }
    if (!this.#stream || this.#stream.readyState === EventSource.CLOSED) this.#connect();
  }

  /** The consoles of the others, as the last overview named them. */
  get elsewhere(): Elsewhere[] {
    const here = this.overview?.member;
    const told = [...(this.overview?.members ?? []), ...(this.overview?.others ?? [])];
    return told.flatMap(({ name, console }) =>
      console && name !== here ? [{ name, url: console }] : [],
    );
  }

  #connect(): void {
    this.#stream?.close();
    const stream = new EventSource('/api/quorate/stream');
    this.#stream = stream;
    stream.addEventListener('overview', (event) => {
      this.#found();
      const overview = JSON.parse((event as MessageEvent<string>).data) as Overview;
      this.#measure(overview);
      this.overview = overview;
    });
    stream.addEventListener('open', () => this.#found());
    stream.addEventListener('alive', () => this.#found());
    stream.addEventListener('error', () => (this.#lostSince ??= Date.now()));
  }

  #found(): void {
    this.#heardAt = Date.now();
    this.#lostSince = null;
    this.lost = null;
    this.leavingFor = null;
  }

  async #look(): Promise<void> {
    // From now on, not since it was last heard: a computer that slept hears nothing either, and needs a moment.
    if (this.#stream && Date.now() - this.#heardAt > SILENCE_MS) this.#lostSince ??= Date.now();
    if (this.#lostSince === null || this.leavingFor) return;
    if (Date.now() - this.#lostSince > SPEAK_MS) this.lost = this.#lostSince;
    // The browser connects again by itself, unless it was refused: then the session is over, or there are too many.
    if (!this.#stream || this.#stream.readyState === EventSource.CLOSED) await this.begin();
    if (this.#lostSince === null || Date.now() - this.#lostSince < PATIENCE_MS) return;
    const found = await firstThatAnswers(this.elsewhere);
    if (!found || this.#lostSince === null || this.leavingFor) return;
    this.leavingFor = found;
    const from = encodeURIComponent(this.overview?.member ?? '');
    location.assign(`${found.url}/?from=${from}${location.hash}`);
  }

  #measure(overview: Overview): void {
    const leader = overview.members.find(({ name }) => name === overview.leader);
    if (!leader) {
      this.walPerSecond = null;
      this.#positions = [];
      return;
    }
    const now = Date.now();
    const kept = this.#positions.filter(({ at, leader: name }) => now - at < SPEED_WINDOW_MS && name === leader.name);
    const last = kept.at(-1);
    if (!last || last.position !== leader.position) kept.push({ at: now, leader: leader.name, position: leader.position });
    this.#positions = kept;
    const first = kept[0];
    const seconds = first ? (now - first.at) / 1000 : 0;
    this.walPerSecond = first && seconds > 1 ? Math.max(0, (leader.position - first.position) / seconds) : null;
  }
}

async function firstThatAnswers(places: Elsewhere[]): Promise<Elsewhere | null> {
  const probes = places.map(async (place) => {
    // What it says is none of our business (and not readable from here); that it says something is enough.
    await fetch(`${place.url}/session`, { mode: 'no-cors', cache: 'no-store', signal: AbortSignal.timeout(PROBE_MS) });
    return place;
  });
  return Promise.any(probes).catch(() => null);
}

export const live = new Live();
