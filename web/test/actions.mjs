// What an operator does with the console, one after the other, on a running cluster. Started by the end-to-end tests:
//   node actions.mjs '{"url": ..., "password": ..., "shots": DIRECTORY}'
import assert from 'node:assert/strict';
import { act, choose, done, nothingSecretIsKept, open, part, signIn, visit, waitForLeader, waitForState, whyNot } from './browser.mjs';

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
await nothingSecretIsKept(page);
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
assert.match(await whyNot(page, 'reinitialize'), /it leads/);
for (const name of others()) await page.locator(`[data-slot="${name}"]`).filter({ hasText: 'in use' }).waitFor();
for (const name of members) {
  const box = await page.locator(`[data-member="${name}"]`).textContent();
  assert.match(box, /voter|leader · term/);
  assert.match(box, /proxy, sentinel, console/);
  assert.match(box, /Redis/);
}

say('each view, in light, in dark, and on a phone');
await screens('');
await page.setViewportSize({ width: 320, height: 960 });
await screens('-320');
await page.setViewportSize({ width: 1180, height: 960 });

say('switchover');
await lead('switchover', others()[0], { shot });

say('a switchover for later: a time that is over, a time to come, and withdrawn');
await choose(page, others()[0]);
await page.locator('[data-action="switchover"] button').click();
await part(page, 'later').check();
await part(page, 'at').fill('2020-01-01T00:00');
await part(page, 'time-problem').filter({ hasText: 'not a time to come' }).waitFor();
assert.ok(await part(page, 'confirm').isDisabled());
await part(page, 'close').click();
assert.match(await done(page, 'switchover', { at: '2099-01-31T12:00', shot: (name) => shot(`${name}-later`) }), /scheduled/);
await part(page, 'scheduled').filter({ hasText: `to ${others()[0]}` }).filter({ hasText: '31' }).waitFor();
await done(page, 'cancel');
await part(page, 'scheduled').waitFor({ state: 'detached' });
assert.equal(await leaderNow(), leader);

say('restart of a replica, of the leader, and reload, through the member that serves the page');
for (const name of [others()[0], leader]) {
  await choose(page, name);
  await done(page, 'restart');
  await waitForLeader(page, leader);
  await everybodyStreams();
}
for (const name of members) {
  await choose(page, name);
  await done(page, 'reload');
}

say('pause and resume');
await done(page, 'pause');
await waitForState(page, 'paused');
await done(page, 'resume');
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
const measured = await lead('drill', others()[0], { choice: others()[0], shot });
assert.match(measured, /Nobody could commit for [\d.]+ m?s/);
say(measured);

say('failover by hand');
await lead('failover', others()[0]);

say('the Redis master');
const master = await page.locator('[data-member]').filter({ hasText: 'master' }).getAttribute('data-member');
const nextMaster = members.find((name) => name !== master);
await choose(page, nextMaster);
await done(page, await page.locator('[data-action^="redis-"]').getAttribute('data-action'));
await page.locator(`[data-member="${nextMaster}"]`).filter({ hasText: 'master' }).waitFor();

say('a new clone of a replica, with how far it is');
await choose(page, others()[0]);
await done(page, 'reinitialize');
await part(page, 'cloning').filter({ hasText: /\d+ % of the data is here/ }).waitFor();
assert.match(await whyNot(page, 'reinitialize'), /it is being cloned/);
assert.match(await whyNot(page, 'switchover'), /creating replica/);
await shot('cloning');
await part(page, 'cloning').waitFor({ state: 'detached' });
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
for (const name of members) await page.locator('figure').filter({ hasText: 'Behind the leader' }).filter({ hasText: name }).waitFor();
await page.locator('figure').filter({ hasText: 'Behind the leader' }).locator('path[d*="L"]').first().waitFor({ state: 'attached' });
await shot('hour-after');

say('signing out ends it');
await part(page, 'sign-out').click();
await part(page, 'sign-in').waitFor();
assert.equal((await page.request.get(`${url}/api/cluster`)).status(), 401);

assert.deepEqual(problems, []);
await browser.close();
say('done');

/** Another member becomes the leader by this action, and everybody follows it. */
async function lead(action, target, options) {
  await choose(page, target);
  const said = await done(page, action, options);
  assert.ok(said.includes(`over to "${target}"`), said);
  await waitForLeader(page, target);
  leader = target;
  await everybodyStreams();
  return said;
}

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
