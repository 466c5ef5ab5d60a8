// The REST API as openapi.json describes it, asked of the member that serves this page. Types are made from the description
// at build time, so a field that is renamed there does not compile here.
import createClient from 'openapi-fetch';
import type { components, paths } from '../../generated/api';

type Schemas = components['schemas'];
export type Overview = Schemas['Overview'];
export type Member = Schemas['Member'];
export type RedisGroup = Schemas['RedisGroup'];
export type Sample = Schemas['Sample'];
export type Note = Schemas['Note'];
export type Slot = Schemas['Slot'];
export type ConnectionString = Schemas['ConnectionString'];
export type DrillReport = Schemas['DrillReport'];
export type Config = { [key: string]: unknown };

/** Forms of other sites cannot send it, so the member knows that a change comes from this page. */
const FROM_THE_PAGE = { 'X-Quorate-Console': '1' };

export const api = createClient<paths>({ baseUrl: '/api', headers: FROM_THE_PAGE });

export interface Session {
  login_needed: boolean;
  user: string | null;
  may_change: boolean;
  why_not: string;
}

export async function session(): Promise<Session> {
  const answer = await fetch('/session', { cache: 'no-store' });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as Session;
}

/** An empty text: signed in. */
export async function signIn(username: string, password: string): Promise<string> {
  const answer = await fetch('/session', {
    method: 'POST',
    headers: { ...FROM_THE_PAGE, 'Content-Type': 'application/json' },
    body: JSON.stringify({ username, password }),
  });
  return answer.ok ? '' : answer.text();
}

export async function signOut(): Promise<void> {
  await fetch('/session', { method: 'DELETE', headers: FROM_THE_PAGE });
}

/** How a change went, in the member's own words. */
export interface Outcome {
  ok: boolean;
  text: string;
}

interface Answer {
  data?: unknown;
  error?: unknown;
  response: Response;
}

export async function outcome(asked: Promise<Answer>): Promise<Outcome> {
  try {
    const { data, error, response } = await asked;
    const said = response.ok ? data : error;
    const text = typeof said === 'string' ? said : said === undefined ? '' : JSON.stringify(said, null, 2);
    return { ok: response.ok, text: text.trim() || `${response.status} ${response.statusText}` };
  } catch {
    return { ok: false, text: 'The member did not answer. Nobody knows whether it was done: look before you try again.' };
  }
}
