// A headless Chromium on one page of the console, and short words for what a person does there.
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** What should happen within a second or two may take this long on a machine that does much else. */
export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 90_000);

/** What Chromium calls a key that it believes although it does not know who signed for it. */
function keyOf(certificate) {
  const key = new X509Certificate(readFileSync(certificate)).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}

/** `certificates`: files of the members', where they serve in TLS. `whole`: pictures of all of a page. */
export async function open(url, { shots, width = 1180, height = 900, colorScheme = 'light', certificates = [], whole = false }) {
  mkdirSync(shots, { recursive: true });
  const believed = certificates.length > 0 ? [`--ignore-certificate-errors-spki-list=${certificates.map(keyOf)}`] : [];
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Root is refused a sandbox; the page is our own.
    args: ['--no-sandbox', '--disable-dev-shm-usage', ...believed],
  });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`error in the page: ${error.message}`));
  page.on('console', (message) => {
    // What the policy of the page refuses is said here, and so is every script error.
    if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text())) problems.push(message.text());
  });
  await page.goto(url);
  return { browser, context, page, problems, shot: (name) => picture(page, join(shots, `${name}.png`), whole) };
}

/** What a person sees without scrolling, or the `whole` page; of a page behind a dialog less is enough. */
async function picture(page, path, whole) {
  if (whole) return void (await page.screenshot({ path, fullPage: true }));
  const { width, height } = page.viewportSize();
  const dialog = await page.locator('dialog[open]').count();
  await page.screenshot({ path, clip: { x: 0, y: 0, width, height: dialog ? Math.min(height, DIALOG_HEIGHT) : height } });
}

const DIALOG_HEIGHT = 740;

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

/** Presses the button of an action, confirms, and returns what the member said. `at`: when, if not now. */
export async function act(page, action, { choice, at, shot } = {}) {
  await page.locator(`[data-action="${action}"][data-possible="true"] button`).click();
  if (choice) await part(page, 'choice').selectOption(choice);
  if (at) {
    await part(page, 'later').check();
    await part(page, 'at').fill(at);
  }
  if (shot) await shot(`question-${action}`);
  await part(page, 'confirm').click();
  const result = page.locator('dialog [data-test="result"]');
  await result.waitFor();
  const said = { ok: (await result.getAttribute('data-ok')) === 'true', text: (await result.textContent()) ?? '' };
  if (shot) await shot(`answer-${action}`);
  await part(page, 'close').click();
  return said;
}

/** The same, and the member must agree. */
export async function done(page, action, options) {
  const said = await act(page, action, options);
  assert.ok(said.ok, `${action}: ${said.text}`);
  return said.text;
}

/** Why an action is not possible now, as the page says. */
export async function whyNot(page, action) {
  const shown = page.locator(`[data-action="${action}"][data-possible="false"]`);
  await shown.waitFor();
  assert.ok(await shown.locator('button').isDisabled());
  return shown.locator('p').textContent();
}

/** Nothing that opens a door may be where a script could read it. */
export async function nothingSecretIsKept(page) {
  const kept = await page.evaluate(() => [document.cookie, { ...localStorage }, { ...sessionStorage }]);
  assert.deepEqual(kept, ['', {}, {}]);
}

/** The member that serves the page is killed or frozen while this waits; returns when the page has gone on at another one. */
export async function goesOnElsewhere(page, { name, password, shot }) {
  const before = new URL(page.url()).origin;
  const started = Date.now();
  console.log('ready');
  // Looked at within the page, because this lasts only for some seconds.
  const saysSo = (name) => {
    const action = document.querySelector('[data-action="pause"]');
    const offersNothing = action?.dataset.possible === 'false' && action.textContent.includes('does not answer');
    return offersNothing && document.querySelector('[data-test="lost"]')?.textContent.includes(`${name} does not answer`);
  };
  await page.waitForFunction(saysSo, name);
  console.log(`said after ${Date.now() - started} ms`);
  await shot('lost');
  await page.waitForURL((there) => there.origin !== before);
  console.log(`moved to ${new URL(page.url()).host} after ${Date.now() - started} ms`);
  await signIn(page, password);
  await part(page, 'came-from').filter({ hasText: `${name} did not answer` }).waitFor();
  await waitForState(page, 'serving');
  await part(page, 'served').filter({ hasNotText: name }).waitFor();
  assert.ok(!page.url().includes('from='), 'the address bar is tidy');
  await nothingSecretIsKept(page);
  await shot('moved');
}

/** Waits until the page shows this member as the leader that accepts writes. */
export async function waitForLeader(page, member) {
  await page.locator(`[data-member="${member}"].leads`).waitFor();
  await waitForState(page, 'serving');
}

export async function waitForState(page, word) {
  await part(page, 'state').filter({ hasText: word }).waitFor();
}
