// A headless Chromium on one page of the console, and short words for what a person does there.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** What should happen within a second or two may take this long on a machine that does much else. */
export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 90_000);

export async function open(url, { shots, width = 1180, height = 900, colorScheme = 'light' }) {
  mkdirSync(shots, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Root is refused a sandbox; the page is our own.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  // A cluster that was just set up has an authority that no browser knows.
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, ignoreHTTPSErrors: true });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`error in the page: ${error.message}`));
  page.on('console', (message) => {
    // What the policy of the page refuses is said here, and so is every script error.
    if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text())) problems.push(message.text());
  });
  await page.goto(url);
  return { browser, context, page, problems, shot: (name) => page.screenshot({ path: join(shots, `${name}.png`), fullPage: true }) };
}

export const part = (page, name) => page.locator(`[data-test="${name}"]`);

export async function signIn(page, password) {
  await part(page, 'username').fill('admin');
  await part(page, 'password').fill(password);
  await part(page, 'sign-in').click();
}

export async function visit(page, view) {
  await page.locator(`nav a[href="#${view}"]`).click();
}

export async function choose(page, member) {
  await page.locator(`[data-member="${member}"]`).click();
  await page.locator(`[data-test="member"][data-name="${member}"]`).waitFor();
}

/** Presses the button of an action, confirms, and returns what the member said. */
export async function act(page, action, { choice, shot } = {}) {
  await page.locator(`[data-action="${action}"][data-possible="true"] button`).click();
  if (choice) await part(page, 'choice').selectOption(choice);
  if (shot) await shot(`question-${action}`);
  await part(page, 'confirm').click();
  const result = page.locator('dialog [data-test="result"]');
  await result.waitFor();
  const said = { ok: (await result.getAttribute('data-ok')) === 'true', text: (await result.textContent()) ?? '' };
  if (shot) await shot(`answer-${action}`);
  await part(page, 'close').click();
  return said;
}

/**
 * The same again until the member agrees: just after a change of leader it may not have seen yet that the candidate streams, and
 * says that the switchover failed. A person would press again, too.
 */
export async function insist(page, action, options) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const said = await act(page, action, options);
    if (said.ok || Date.now() > deadline) return said;
  }
}

/** Waits until the page shows this member as the leader that accepts writes. */
export async function waitForLeader(page, member) {
  await page.locator(`[data-member="${member}"].leads`).waitFor();
  await waitForState(page, 'serving');
}

export async function waitForState(page, word) {
  await part(page, 'state').filter({ hasText: word }).waitFor();
}
