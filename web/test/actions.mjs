// What an operator does with the console, one after the other, on a running cluster. Started by the end-to-end tests:
//   node actions.mjs '{"url": ..., "password": ..., "shots": DIRECTORY}'
import assert from 'node:assert/strict';
import { act, choose, insist, open, part, signIn, visit, waitForLeader, waitForState } from './browser.mjs';

const { url, password, shots } = JSON.parse(process.argv[2]);
const { browser, context, page, problems, shot } = await open(url, { shots });
const say = (text) => console.log(text);

say('nothing is shown before somebody has signed in');
await part(page, 'sign-in').waitFor();
assert.equal((await page.request.get(`${url}/api/cluster`)).status(), 401);
assert.equal((await page.request.post(`${url}/api/reload`)).status(), 401);
await shot('login');
await signIn(page, 'wrong');
await part(page, 'refused').filter({ hasText: 'wrong' }).waitFor();
await signIn(page, password);
await part(page, 'topology').waitFor();
await waitForState(page, 'serving');

say('the password and the session are out of reach of scripts');
const kept = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
assert.equal(kept, '["",{},{}]');
const [cookie] = await context.cookies();
assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify(cookie));

say('the drawing shows everybody, and each can be reached with the keyboard');
const members = await page.locator('[data-member]').evaluateAll((all) => all.map((one) => one.dataset.member));
assert.deepEqual(members, ['pg1', 'pg2', 'pg3']);
const leaderNow = () => page.locator('[data-member].leads').getAttribute('data-member');
let leader = await leaderNow();
const others = () => members.filter((name) => name !== leader);
await page.locator(`[data-member="${others()[0]}"]`).focus();
await page.keyboard.press('Enter');
await page.locator(`[data-test="member"][data-name="${others()[0]}"]`).waitFor();
await part(page, 'loss').filter({ hasText: 'last moment' }).waitFor();
await choose(page, leader);
assert.match(await part(page, 'without').textContent(), /takes over/);
const impossible = page.locator('[data-action="reinitialize"]');
assert.equal(await impossible.getAttribute('data-possible'), 'false');
assert.match(await impossible.textContent(), /it leads/, 'the reason is shown');

say('each view, in light, in dark, and on a phone');
await screens('');
await page.setViewportSize({ width: 320, height: 700 });
await screens('-320');
await page.setViewportSize({ width: 1180, height: 900 });

say('switchover');
let target = others()[0];
await choose(page, target);
let said = await insist(page, 'switchover', { shot });
assert.ok(said.ok && said.text.includes(`switched over to "${target}"`), said.text);
await waitForLeader(page, target);
leader = target;
await everybodyStreams();

say('restart of a replica, of the leader, and reload, through the member that serves the page');
for (const name of [others()[0], leader]) {
  await choose(page, name);
  said = await act(page, 'restart');
  assert.ok(said.ok, said.text);
  await waitForLeader(page, leader);
  await everybodyStreams();
}
for (const name of members) {
  await choose(page, name);
  said = await act(page, 'reload');
  assert.ok(said.ok, said.text);
}

say('pause and resume');
said = await act(page, 'pause');
assert.ok(said.ok, said.text);
await waitForState(page, 'paused');
said = await act(page, 'resume');
assert.ok(said.ok, said.text);
await waitForState(page, 'serving');

say('the configuration, with a mistake, with what the member refuses, and with a change');
await visit(page, 'configuration');
const editor = part(page, 'config');
await editor.filter({ hasText: '' }).waitFor();
await page.waitForFunction(() => document.querySelector('[data-test="config"]').value.includes('{'));
const config = JSON.parse(await editor.inputValue());
await editor.fill('{');
await part(page, 'problem').filter({ hasText: /JSON/ }).waitFor();
assert.ok(await part(page, 'review').isDisabled());
await editor.fill(JSON.stringify({ ...config, ttl: 0.1 }, null, 2));
await part(page, 'review').click();
await part(page, 'send').click();
await part(page, 'result').filter({ hasText: 'out of range' }).waitFor();
await editor.fill(JSON.stringify({ ...config, maximum_lag_on_failover: 2097152 }, null, 2));
await part(page, 'review').click();
assert.match(await part(page, 'difference').textContent(), /\+ .*"maximum_lag_on_failover": 2097152/);
await shot('difference');
await part(page, 'send').click();
await part(page, 'result').filter({ hasText: 'is changed' }).waitFor();
const stored = await (await page.request.get(`${url}/api/config`)).json();
assert.equal(stored.maximum_lag_on_failover, 2097152);

say('a drill');
await visit(page, 'cluster');
await everybodyStreams();
target = others()[0];
said = await insist(page, 'drill', { choice: target, shot });
assert.ok(said.ok && /Nobody could commit for [\d.]+ m?s/.test(said.text), said.text);
say(said.text);
await waitForLeader(page, target);
leader = target;
await everybodyStreams();

say('failover by hand');
target = others()[0];
await choose(page, target);
said = await insist(page, 'failover');
assert.ok(said.ok, said.text);
await waitForLeader(page, target);
leader = target;
await everybodyStreams();

say('a new clone of a replica');
await choose(page, others()[0]);
said = await act(page, 'reinitialize');
assert.ok(said.ok, said.text);
await everybodyStreams();

say('what happened is told, and there are strings to connect with');
await visit(page, 'happened');
await part(page, 'notes').filter({ hasText: `${leader} accepts writes` }).waitFor();
await shot('happened-after');
await visit(page, 'connect');
await part(page, 'strings').filter({ hasText: 'host=' }).waitFor();
await part(page, 'style').selectOption('jdbc');
await part(page, 'strings').filter({ hasText: 'jdbc:postgresql://' }).waitFor();
await visit(page, 'hour');
await page.locator('figure').first().waitFor();
await shot('hour-after');

say('signing out ends it');
await part(page, 'sign-out').click();
await part(page, 'sign-in').waitFor();
assert.equal((await page.request.get(`${url}/api/cluster`)).status(), 401);

assert.deepEqual(problems, []);
await browser.close();
say('done');

async function everybodyStreams() {
  const settled = (names) => {
    const boxes = [...document.querySelectorAll('[data-member]')];
    return boxes.length === names.length && !document.querySelector('[data-member] circle.bad');
  };
  await page.waitForFunction(settled, members);
}

async function screens(suffix) {
  for (const theme of ['light', 'dark']) {
    await part(page, 'theme').selectOption(theme);
    for (const view of ['cluster', 'happened', 'hour', 'configuration', 'connect']) {
      await visit(page, view);
      await page.waitForTimeout(300);
      await shot(`${view}-${theme}${suffix}`);
      const spill = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(spill <= 0, `${view} is ${spill} pixels wider than the window (${suffix || 'wide'})`);
    }
  }
  await part(page, 'theme').selectOption('system');
  assert.equal(await page.evaluate(() => localStorage.length), 0, 'the choice of the system is no choice');
  await visit(page, 'cluster');
}
