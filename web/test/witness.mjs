// The console of a member that has a vote and no data, over TLS; in the end that member falls silent. Started by the end-to-end
// tests, which freeze it when this prints "ready":
//   node witness.mjs '{"url": ..., "name": ..., "password": ..., "shots": DIRECTORY, "certificates": [FILE, ...]}'
import assert from 'node:assert/strict';
import { choose, done, goesOnElsewhere, nothingSecretIsKept, open, part, signIn, waitForLeader, waitForState, whyNot } from './browser.mjs';

const { url, name, password, shots, certificates } = JSON.parse(process.argv[2]);
const say = (text) => console.log(text);

say('nothing is served without TLS');
await assert.rejects(fetch(url.replace('https:', 'http:')));
const { browser, context, page, shot } = await open(url, { shots, certificates });
assert.ok(await page.evaluate(() => isSecureContext));
await signIn(page, password);
await part(page, 'served').filter({ hasText: `seen by ${name}` }).waitFor();
await waitForState(page, 'serving');
await nothingSecretIsKept(page);
const [cookie] = await context.cookies();
assert.ok(cookie.secure && cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify(cookie));

say('it is shown as what it is, and what it cannot do has its reason');
await page.locator(`[data-member="${name}"]`).filter({ hasText: 'witness' }).filter({ hasText: 'console' }).waitFor();
await choose(page, name);
assert.equal(await page.locator('[data-test="member"] [data-action]').count(), 0, 'there is nothing to do with a witness');
assert.match(await whyNot(page, 'drill'), /has no PostgreSQL/);
await shot('witness');

say('it hands requests on, over TLS');
const members = await page.locator('[data-member]').evaluateAll((all) => all.map((one) => one.dataset.member));
const leader = await page.locator('[data-member].leads').getAttribute('data-member');
const other = members.find((one) => one !== leader && one !== name);
await choose(page, other);
await part(page, 'member').filter({ hasText: 'What if this server died?' }).waitFor();
assert.match(await done(page, 'switchover'), new RegExp(`switched over to "${other}"`));
await waitForLeader(page, other);
await page.locator(`[data-slot="${leader}"]`).filter({ hasText: 'in use' }).waitFor();
await done(page, 'reload');
await done(page, 'pause');
await waitForState(page, 'paused');
await done(page, 'resume');
await waitForState(page, 'serving');

await goesOnElsewhere(page, { name, password, shot });
await browser.close();
say('done');
