// What `quorate setup` answers, and how it is asked. No password comes here, except in a join line.
export type Role = 'database' | 'store' | 'cache' | 'witness' | 'no-failover';
export type PromiseWord = 'never-lose-a-commit' | 'stay-writable' | 'fastest';
export type LeadsTo = 'primary' | 'redis_master';

export interface Member {
  name: string;
  address: string;
  roles: Role[];
  site?: string;
}

export interface Server {
  version?: string;
  data_dir: string;
  bin_dir?: string;
}

export interface Vip {
  address: string;
  role: LeadsTo;
  interface?: string;
}

export const PORTS = {
  postgresql: 'PostgreSQL',
  redis: 'Redis',
  sentinel: 'Sentinel',
  proxy_primary: 'Proxy to the primary',
  proxy_replicas: 'Proxy to the replicas',
  proxy_redis: 'Proxy to the Redis master',
  rest_api: 'REST API',
  console: 'Web console',
  store_clients: 'Store, clients',
  store_peers: 'Store, members',
} as const;
export type PortName = keyof typeof PORTS;
export type Ports = Record<PortName, number | string>;

export interface Plan {
  scope: string;
  promise: PromiseWord;
  members: Member[];
  postgresql: Server;
  redis: Server;
  store_dir: string;
  vips: Vip[];
  ports: Ports;
}

export interface Finding {
  code: string;
  /** A path such as `members[1].address`; empty: the whole plan. */
  field: string;
  severity: 'error' | 'warning' | 'note';
  message: string;
  hint: string;
}

export interface Terms {
  word: PromiseWord;
  title: string;
  commit: string;
  primary_lost: string;
  replicas_lost: string;
}

export interface Program {
  product: string;
  version: string;
  line: string;
  bin_dir: string;
}

export interface State {
  version: string;
  home: string;
  origin: 'proposed' | 'draft' | 'written';
  written: boolean;
  written_member: string | null;
  passwords: string;
  run: boolean;
  start: boolean;
  plan: Partial<Plan> & Omit<Plan, 'vips' | 'ports'>;
  member: string;
  machine: {
    host: string;
    addresses: { ip: string; prefix: number; interface: string; loopback: boolean }[];
    interfaces: string[];
    postgresql: Program[];
    redis: Program[];
    root: boolean;
    windows: boolean;
  };
  promises: Terms[];
  ports: Ports;
}

export interface PreviewFile {
  path: string;
  private: boolean;
  text: string;
  before: string | null;
}

export interface Preview {
  files: PreviewFile[];
  certificates: string[];
  command: string;
}

export type Step = 'waiting' | 'arrived' | 'copying' | 'ready';

export interface Progress {
  progress: {
    answers: boolean;
    members: { name: string; step: Step; detail: string }[];
    complete: boolean;
    console: string | null;
  };
  joined: string[];
  agent_ended: string | null;
}

export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

export async function ask<T>(what: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`/api/${what}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'x-quorate-console': '1', 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new Refused('gone', 'quorate setup does not answer any more.', 'What was typed is kept: run it again and open the new address.');
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as T;
  try {
    const { code, message, hint } = JSON.parse(text) as { code: string; message: string; hint: string | null };
    throw new Refused(code, message, hint ?? '');
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(String(response.status), text, '');
  }
}
