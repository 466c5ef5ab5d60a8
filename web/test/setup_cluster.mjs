// A new user's way from nothing to a running cluster: the wizard on the first server, the lines for the others, the console
// and a drill. The test runs the lines on the other servers.
//   node setup_cluster.mjs '{"url": ..., "shots": DIRECTORY, "directory": ..., "addresses": [...], "vip": ..., "home": DIRECTORY}'
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { act, open, part, signIn, waitForState } from './browser.mjs';
import { describe, field, press } from './wizard.mjs';

const { url, shots, directory, addresses, vip, home } = JSON.parse(process.argv[2]);
const { browser, page, problems, shot } = await open(url, { shots, whole: true });
const say = (text) => console.log(text);

say('the plan');
await part(page, 'drawing').waitFor();
await describe(page, { addresses });
await part(page, 'role-2-witness').check();
await press(page, 'next');
await part(page, 'promise-stay-writable').check();
await press(page, 'next');
await field(page, 'postgresql.data_dir').fill(`${directory}/data/postgresql`);
await field(page, 'redis.data_dir').fill(`${directory}/data/redis`);
await field(page, 'store_dir').fill(`${directory}/data/store`);
await press(page, 'next');
await part(page, 'add-vip').click();
await field(page, 'vips[0].address').fill(vip);
await press(page, 'next');
await part(page, 'write').and(page.locator(':enabled')).waitFor();
await shot('review');
await press(page, 'write');

say('this server');
await press(page, 'start');
await part(page, 'running').waitFor();

say('the lines for the others');
for (const name of ['pg2', 'pg3']) {
  const row = page.locator(`[data-test="other"][data-name="${name}"]`);
  await row.locator('[data-test="invite"]').and(page.locator(':enabled')).click();
  const line = await row.locator('[data-test="line"]').textContent();
  assert.match(line, new RegExp(`^quorate join ${addresses[0]}:8008 qt1_`));
  if (name === 'pg2') await shot('invited');
  console.log(`line ${name} ${line}`);
}

say('everybody arrives');
await page.locator('[data-test="other"]:not([data-step="waiting"])').first().waitFor();
await shot('arriving');
await part(page, 'complete').waitFor();
await shot('complete');
const kept = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
assert.equal(kept, '["",{},{}]');
const consoleUrl = await part(page, 'console').getAttribute('href');
assert.equal(consoleUrl, `https://${addresses[0]}:8080`);
await press(page, 'close');
assert.deepEqual(problems, []);
await browser.close();

say('a drill from the console');
const password = /^rest_api: (\S+)$/m.exec(readFileSync(`${home}/secrets.yaml`, 'utf8'))[1];
const seen = await open(consoleUrl, { shots, certificates: [`${home}/tls/member.crt`] });
await part(seen.page, 'sign-in').waitFor();
await signIn(seen.page, password);
await waitForState(seen.page, 'serving');
const said = await act(seen.page, 'drill', { shot: seen.shot });
assert.ok(said.ok, said.text);
console.log(`drill ${said.text}`);
await waitForState(seen.page, 'serving');
await seen.shot('console');
assert.deepEqual(seen.problems, []);
await seen.browser.close();
console.log('done');
