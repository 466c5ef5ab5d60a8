// What is typed, what is wrong with it, and which step is shown. Nothing of it is kept in the browser: the draft is kept by
// `quorate setup`.
import { ask, Refused, type Finding, type Member, type Plan, type Role, type State } from './api';

export const STEPS = [
  { id: 'servers', title: 'Servers' },
  { id: 'promise', title: 'What comes first' },
  { id: 'software', title: 'Software' },
  { id: 'addresses', title: 'Addresses' },
  { id: 'review', title: 'Review' },
  { id: 'start', title: 'Start' },
] as const;
export type StepId = (typeof STEPS)[number]['id'];

/** From the last key to the question whether it is right. */
const TYPING_PAUSE_MS = 200;

class Wizard {
  state = $state.raw<State | null>(null);
  plan = $state<Plan>(null as unknown as Plan);
  member = $state('');
  /** Of the plan itself, while somebody types. */
  findings = $state.raw<Finding[]>([]);
  /** Of this server, from the last review. */
  server = $state.raw<Finding[]>([]);
  /** Fields whose message is shown: somebody was there. */
  seen = $state<Record<string, boolean>>({});
  /** Steps that were left, so all of their messages are shown. */
  left = $state<Record<string, boolean>>({});
  step = $state<StepId>('servers');
  lost = $state('');
  written = $state(false);
  /** The member runs with files that were changed since. */
  restart = $state(false);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private turn = 0;
  /** Fields that somebody has just left. */
  private leaving: string[] = [];

  async begin(): Promise<void> {
    try {
      const state = await ask<State>('state');
      this.plan = { ...state.plan, vips: state.plan.vips ?? [], ports: { ...state.ports, ...state.plan.ports } };
      this.member = state.member;
      this.written = state.written;
      this.state = state;
      const wished = STEPS.find(({ id }) => id === location.hash.slice(1))?.id;
      this.step = wished && (wished !== 'start' || state.written) ? wished : 'servers';
      await this.keep();
    } catch (error) {
      this.say(error);
    }
  }

  /** Something was typed or chosen. */
  changed(field?: string): void {
    // Shown when it is known what there is to be said now: what was said before would flash, and move what is clicked on.
    if (field) this.leaving.push(field);
    this.server = this.server.filter((finding) => finding.field !== field);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.keep(), TYPING_PAUSE_MS);
  }

  async keep(): Promise<void> {
    clearTimeout(this.timer);
    const turn = ++this.turn;
    try {
      const { findings } = await ask<{ findings: Finding[] }>('draft', this.draft());
      if (turn !== this.turn) return;
      this.findings = findings;
      for (const field of this.leaving.splice(0)) this.seen[field] = true;
      this.lost = '';
    } catch (error) {
      this.say(error);
    }
  }

  /** Empty texts that stand for "nothing" are left out. */
  draft(): { plan: Plan; member: string } {
    const plan = $state.snapshot(this.plan) as Plan;
    const without = <T extends object>(value: T, keys: (keyof T)[]): T => {
      const copy = { ...value };
      for (const key of keys) if (!copy[key]) delete copy[key];
      return copy;
    };
    plan.members = plan.members.map((member) => without(member, ['site']));
    plan.vips = plan.vips.map((vip) => without(vip, ['interface']));
    plan.postgresql = without(plan.postgresql, ['version', 'bin_dir']);
    plan.redis = without(plan.redis, ['version', 'bin_dir']);
    return { plan, member: this.member };
  }

  all(): Finding[] {
    return [...this.findings, ...this.server];
  }

  /** What is said at a field, as soon as it may be said. */
  at(field: string): Finding[] {
    const shown = this.seen[field] || this.left[stepOf(field)];
    return shown ? this.all().filter((finding) => finding.field === field) : [];
  }

  errorsOf(step: StepId): number {
    return this.all().filter((finding) => finding.severity === 'error' && stepOf(finding.field) === step).length;
  }

  /** Where one may go: forward only over what is right. */
  reachable(step: StepId): boolean {
    if (step === 'start') return this.written;
    const until = STEPS.findIndex(({ id }) => id === step);
    return STEPS.slice(0, until).every(({ id }) => this.planErrorsOf(id) === 0);
  }

  async go(step: StepId): Promise<void> {
    this.left[this.step] = true;
    await this.keep();
    const first = STEPS.find(({ id }) => id !== 'start' && before(id, step) && this.planErrorsOf(id) > 0);
    if (step === 'start' && !this.written) return;
    if (first) this.left[first.id] = true;
    this.step = first?.id ?? step;
    history.replaceState(null, '', `#${this.step}`);
    if (first) focusFirstError();
    else document.getElementById('step')?.focus();
  }

  next(): void {
    const at = STEPS.findIndex(({ id }) => id === this.step);
    const next = STEPS[at + 1];
    if (next) void this.go(next.id);
  }

  back(): void {
    const at = STEPS.findIndex(({ id }) => id === this.step);
    const previous = STEPS[at - 1];
    if (previous) void this.go(previous.id);
  }

  private planErrorsOf(step: StepId): number {
    return this.findings.filter((finding) => finding.severity === 'error' && stepOf(finding.field) === step).length;
  }

  say(error: unknown): void {
    this.lost = error instanceof Refused ? `${error.message}${error.hint ? `\n${error.hint}` : ''}` : String(error);
  }
}

function before(one: StepId, other: StepId): boolean {
  return STEPS.findIndex(({ id }) => id === one) < STEPS.findIndex(({ id }) => id === other);
}

export function stepOf(field: string): StepId {
  if (/^(postgresql|redis|store_dir)/.test(field)) return 'software';
  if (/^(vips|ports)/.test(field)) return 'addresses';
  if (field === 'promise') return 'promise';
  if (field === '') return 'review';
  return 'servers';
}

function focusFirstError(): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
}

export const has = (member: Member, role: Role): boolean => member.roles.includes(role);
export const votes = (member: Member): boolean => has(member, 'store') || has(member, 'witness');

export function toggle(member: Member, role: Role): void {
  const on = has(member, role);
  let roles = on ? member.roles.filter((other) => other !== role) : [...member.roles, role];
  // A witness is a vote and nothing else, and a member with data is no witness.
  if (!on && role === 'witness') roles = ['witness'];
  if (!on && role !== 'witness') roles = roles.filter((other) => other !== 'witness');
  if (on && role === 'database') roles = roles.filter((other) => other !== 'no-failover');
  member.roles = roles;
}

export const wizard = new Wizard();
